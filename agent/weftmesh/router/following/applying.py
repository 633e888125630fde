"""Carries agreements and orders to all that go by them, in short steps: requests are answered in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from typing import Protocol

from weftmesh.ola.v1 import ola_pb2
from weftmesh.router.counting.burning import Burning
from weftmesh.router.counting.counts import Counting, InForce
from weftmesh.router.following.agreements import Agreements, Followed
from weftmesh.router.following.wanted import WantedRoute, wanted_routes
from weftmesh.router.routes.tables import Tables
from weftmesh.runtime.lanes.slicing import returned


class Probes(Protocol):
    """Whoever probes routes; `Probing` and `ProbingInLane` do."""

    def follow_in_steps(self, routes: Mapping[str, WantedRoute]) -> Iterator[None]:
        """See Probing."""


class Applying:
    """Applies what the node says. One message at a time.

    Args:
        agreements: take messages in.
        tables: follow routes.
        probes: as tables.
        counting: by agreements.
        burning: as counting.
    """

    def __init__(
        self, agreements: Agreements, tables: Tables, probes: Probes, counting: Counting, burning: Burning
    ) -> None:
        self._agreements = agreements
        self._tables = tables
        self._probes = probes
        self._counting = counting
        self._burning = burning
        self._counted: dict[str, InForce] | None = None

    async def take(self, change: ola_pb2.AgreementsChange) -> None:
        """Take a message in. Where this is cancelled, the rest follows with the next message."""
        await returned(self._taking(change))

    def begin(self) -> None:
        """Apply what is known already, at once."""
        for _ in self._steps():
            pass

    def _taking(self, change: ola_pb2.AgreementsChange) -> Generator[None, None, None]:
        yield from self._agreements.take_in_steps(change)
        yield from self._steps()

    def _steps(self) -> Generator[None, None, None]:
        in_force = self._agreements.in_force
        routes: dict[str, WantedRoute] = {}
        for found in _by_service(in_force):
            routes |= wanted_routes(found, self._agreements.overrides)
            yield
        yield from self._tables.want_in_steps(routes)
        yield from self._probes.follow_in_steps(routes)
        yield from self._count(in_force)

    def _count(self, in_force: tuple[Followed, ...]) -> Iterator[None]:
        counted: dict[str, InForce] = {}
        before = self._counted or {}
        for one in in_force:
            name, known = one.agreement.name, before.get(one.agreement.name)
            # The hash of a workflow takes a while, and most agreements stay as they are.
            same = known is not None and (known.generation, known.agreement) == (one.generation, one.agreement)
            counted[name] = known if known is not None and same else InForce.of(one.agreement, one.generation)
            yield
        if counted == self._counted:
            return
        self._counted = counted
        self._counting.set_agreements(counted.values())
        yield
        self._burning.set_agreements(one.agreement for one in in_force)


def _by_service(in_force: tuple[Followed, ...]) -> list[list[Followed]]:
    found: defaultdict[str, list[Followed]] = defaultdict(list)
    for one in in_force:
        found[one.agreement.service].append(one)
    return [found[name] for name in sorted(found)]
