"""All resources of this node's routes at one moment; a change makes another catalog."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.records import record
from weftmesh.router.xds.kinds import Entry, Kind
from weftmesh.router.xds.resources import entries_in_steps
from weftmesh.router.xds.snapshot import RouteSnapshot

_NOTHING: Final[Mapping[str, Entry]] = MappingProxyType({})


@record(frozen=True, slots=True)
class Catalog:
    """Resources by kind and name, and the routes that they were made of."""

    routes: Mapping[str, RouteSnapshot]
    entries: Mapping[Kind, Mapping[str, Entry]]

    def of(self, kind: Kind) -> Mapping[str, Entry]:
        """The resources of one kind, by name."""
        return self.entries.get(kind, _NOTHING)


EMPTY: Final = Catalog(MappingProxyType({}), MappingProxyType({}))


@record(frozen=True, slots=True)
class Refused:
    """A route that cannot be told to clients; they keep what they were told before."""

    route: str
    error: InvalidInputError


def next_catalog(
    before: Catalog, routes: Iterable[RouteSnapshot]
) -> Generator[None, None, tuple[Catalog, tuple[Refused, ...]]]:
    """Make the catalog of `routes`, a part of one with each step. Only what differs from `before` is made anew.

    Returns:
        The catalog, and the routes that were refused: those keep what they had in `before`.
    """
    refused: list[Refused] = []
    kept: dict[str, RouteSnapshot] = {}
    entries: dict[Kind, dict[str, Entry]] = {kind: {} for kind in Kind}
    for wanted in routes:
        yield
        known = before.routes.get(wanted.route)
        made: Mapping[Kind, Entry] | None = None
        if known != wanted:
            try:
                made = yield from entries_in_steps(wanted)
            except InvalidInputError as error:
                refused.append(Refused(wanted.route, error))
        if made is not None:
            kept[wanted.route] = wanted
        elif known is not None:
            kept[wanted.route] = known
            made = {kind: before.of(kind)[wanted.route] for kind in Kind}
        else:
            continue
        for kind, entry in made.items():
            entries[kind][entry.name] = entry
    return Catalog(kept, entries), tuple(refused)
