"""One round of one fault: a mesh under load, and what the fault needs to know about it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tests.faults.load import Load
from tests.faults.site import Site
from tests.faults.watches import Sightings

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.core.errors import WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2

S_co = TypeVar("S_co", bound=Site, covariant=True)

LEADER_TIMEOUT_S = 60.0
FLOW_TIMEOUT_S = 60.0
POLL_S = 0.05
STATUS_TIMEOUT_S = 1.0


class StageError(Exception):
    """The mesh did not do in time what every mesh has to do."""


@dataclass
class Stage(Generic[S_co]):
    """What a fault works with.

    Attributes:
        mesh: all its nodes run when a round begins, and must run when the fault is over.
        site: where they were put.
        load: runs during the whole round.
        watchers: what they have seen so far.
        random: decides whatever is left open.
        round: from 0.
        resume_s: how long after each strike writes were acknowledged again.
        notes: figures for people.
    """

    mesh: DevMesh
    site: S_co
    load: Load
    watchers: dict[str, Sightings]
    random: random.Random
    round: int
    resume_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _struck_s: float = 0.0
    _spared: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """Of all nodes."""
        return list(self.mesh.nodes)

    def others(self, *names: str) -> list[str]:
        """The nodes that are not these."""
        return [name for name in self.mesh.nodes if name not in names]

    async def leader(self, among: Collection[str] | None = None) -> str:
        """The leader that all of `among` follow, which leads by its own account and is one of them.

        Raises:
            StageError: they did not agree in time.
        """
        names = self.names if among is None else list(among)
        deadline_s = time.monotonic() + LEADER_TIMEOUT_S
        while time.monotonic() < deadline_s:
            found = await asyncio.gather(*(self._status(name) for name in names))
            leaders = {status.leader for status in found if status is not None and status.quorum}
            leading = {status.node for status in found if status is not None and status.role == mesh_pb2.ROLE_LEADER}
            if None not in found and len(leaders) == 1 and leaders == leading:
                return leaders.pop()
            await asyncio.sleep(POLL_S)
        raise StageError(f"{', '.join(names)} did not agree on one leader in {LEADER_TIMEOUT_S:g} s")

    async def _status(self, name: str) -> mesh_pb2.NodeStatus | None:
        try:
            return await self.load.clients[name].mesh.get_status(timeout_s=STATUS_TIMEOUT_S)
        except WeftmeshError:
            return None

    async def follower(self) -> str:
        """A node that does not lead."""
        return self.random.choice(self.others(await self.leader()))

    def strike(self, *victims: str) -> None:
        """Note that the fault begins now; the nodes that are not its victims should soon acknowledge writes again."""
        self._struck_s, self._spared = time.monotonic(), frozenset(self.others(*victims))

    async def resumed(self) -> float:
        """Seconds from the strike until a spared node acknowledged a write that began after it; kept as a figure.

        Raises:
            StageError: none did in time.
        """
        resumed_s = await self._acknowledged(self._struck_s, self._spared) - self._struck_s
        self.resume_s.append(resumed_s)
        return resumed_s

    async def flowing(self, names: Iterable[str] | None = None) -> None:
        """Wait until each of these nodes (all) has acknowledged a write that began after now.

        Raises:
            StageError: one did not in time.
        """
        now_s = time.monotonic()
        for name in self.names if names is None else names:
            await self._acknowledged(now_s, frozenset({name}))

    async def _acknowledged(self, since_s: float, names: frozenset[str]) -> float:
        deadline_s = time.monotonic() + FLOW_TIMEOUT_S
        while (found := self.load.record.resumed_s(since_s, names)) is None:
            if time.monotonic() > deadline_s:
                raise StageError(f"{', '.join(sorted(names))} acknowledged no write for {FLOW_TIMEOUT_S:g} s")
            await asyncio.sleep(0.01)
        return found

    def silent(self, name: str, since_s: float) -> None:
        """Make sure that a node that is cut off answered nothing that needs a majority and was asked after `since_s`.

        Raises:
            StageError: it did.
        """
        record = self.load.record
        writes = sum(one.node == name and one.begun_s > since_s for one in record.answered)
        reads = sum(
            one.process.startswith(f"{name}/") and one.returned is not None and one.invoked > since_s
            for history in record.histories.values()
            for one in history
        )
        if writes or reads:
            raise StageError(f"{name} was cut off, and acknowledged {writes} writes and answered {reads} reads")
