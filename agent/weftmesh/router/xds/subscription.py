"""What one client wants to know of one kind of resource, and what it was told: shared by both forms of the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from weftmesh.core.errors import OverloadedError
from weftmesh.router.xds.kinds import Entry

WILDCARD: Final = "*"
NAMES_MAX: Final = 10_000
"""Of one kind that one client may ask for: as many routes as a node has. All are gone through with each change."""


@dataclass(slots=True)
class Subscription:
    """One kind of resource.

    Attributes:
        names: what it asked for by name.
        wildcard: whether it asked for all there is.
        told: the versions that it has; None for a name that it was told does not exist.
        again: what has to be told once more, though it did not change.
        owed: whether a response is due even where it says nothing new.
    """

    names: frozenset[str] = frozenset()
    wildcard: bool = False
    told: dict[str, str | None] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    owed: bool = False

    def covers(self, name: str) -> bool:
        """Whether the client wants to know of this resource."""
        return self.wildcard or name in self.names

    def name(self, names: frozenset[str]) -> None:
        """Take what it asks for by name from now on.

        Raises:
            OverloadedError: too much.
        """
        if len(names) > NAMES_MAX:
            raise OverloadedError(f"{len(names)} names are asked for; ask for {NAMES_MAX} at most, or for all")
        self.names = names

    def forget_uncovered(self) -> None:
        """Whatever is asked for again later has to be told again."""
        if not self.wildcard:
            self.told = {name: version for name, version in self.told.items() if name in self.names}
            self.again &= self.names

    def wanted(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """The resources there are of those that the client wants."""
        if self.wildcard:
            return dict(entries)
        return {name: entries[name] for name in sorted(self.names) if name in entries}

    def news(self, wanted: Mapping[str, Entry]) -> list[Entry]:
        """Those of `wanted` that the client does not have in this version, or is to be told once more."""
        return [one for one in wanted.values() if self.told.get(one.name) != one.version or one.name in self.again]

    def repeat(self, names: Iterable[str]) -> None:
        """Have these told once more, those of them that the client wants."""
        self.again.update(name for name in names if self.covers(name))


def warm(clusters: Subscription, news: Iterable[Entry], assignments: Subscription | None) -> None:
    """A cluster that changed waits for its endpoints to be told again, though they may not have changed."""
    if assignments is not None:
        assignments.repeat(one.name for one in news if clusters.told.get(one.name) is not None)
