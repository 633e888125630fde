"""Raises the feature level when every member can take in the next one: the node that leads does, one step at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from weftmesh.agent.board.homes import Home, Homes
from weftmesh.agent.features.census import Support, in_words
from weftmesh.agent.features.gate import Features
from weftmesh.agent.raft.engine import RaftStatus, Role
from weftmesh.core.board.commands import Header
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.features.machine import RaiseLevel
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.features import encode_features_command

LOOK_S: Final = 2.0
"""Between two looks while members lag; the first of them is asked alone, so a look costs one call."""
PROPOSE_S: Final = 5.0

log = structlog.get_logger("weftmesh.features")


class Raising:
    """Brings the mesh's log, and after it this node's own, to the highest level that all can take in.

    This node's own log follows the mesh's: while that is at an earlier level, the node can go back to that build.
    """

    def __init__(self, node: str, homes: Homes, features: Features, clock: HybridClock) -> None:
        self._node = node
        self._homes = homes
        self._features = features
        self._clock = clock
        self._lagging: dict[str, str] = {}
        self._told = ""
        self._changed = asyncio.Event()
        homes.mesh.engine.on_change(lambda _status: self._changed.set())
        homes.mesh.machine.on_level_raised(lambda _raised: self._changed.set())
        homes.mesh.machine.on_restored(self._changed.set)

    async def run(self) -> None:
        """Return when both logs have this build's level; a level never falls."""
        while self._homes.mesh.machine.feature_level < self._features.supported or self._own_log_lags():
            self._changed.clear()
            try:
                waits = await self._step()
            except WeftmeshError as error:
                log.warning("the feature level was not raised", why=str(error), reason=error.reason)
                waits = True
            if waits:
                await self._pause()

    async def _step(self) -> bool:
        """Do what can be done now; returns whether nothing else can."""
        if self._own_log_lags():
            return not await self._raise(self._homes.local, [self._node], self._homes.local.machine.feature_level + 1)
        status = self._homes.mesh.engine.status()
        if status.role is not Role.LEADER or not status.quorum:
            return True
        wanted = self._features.level + 1
        members = {**status.observers, **status.voters}
        if await self._lags(members, wanted) or not self._is_as(status):
            return True
        if self._features.level >= wanted:
            return False  # a leader's log was applied meanwhile; nobody was asked about the level after this one
        return not await self._raise(self._homes.mesh, sorted(members), wanted)

    def _own_log_lags(self) -> bool:
        return self._homes.local.machine.feature_level < self._homes.mesh.machine.feature_level

    async def _lags(self, members: dict[str, str], wanted: int) -> bool:
        """Whether somebody cannot take `wanted` in. Whoever lagged at the last look is asked before all others."""
        lagged = {name: at for name, at in self._lagging.items() if members.get(name) == at}
        for asked in (lagged, members) if lagged else (members,):
            lagging = [one for one in await self._features.census.ask(asked) if one.level < wanted]
            if lagging:
                first = lagging[0].node
                self._lagging = {first: members[first]}
                self._tell(wanted, lagging)
                return True
        self._lagging = {}
        return False

    def _is_as(self, before: RaftStatus) -> bool:
        """Whether this node still leads the members that were asked."""
        now = self._homes.mesh.engine.status()
        same = (now.voters, now.observers) == (before.voters, before.observers)
        return same and now.role is Role.LEADER and now.term == before.term

    async def _raise(self, home: Home, members: list[str], level: int) -> bool:
        """Go up to `level`, which is one step, in one log; returns whether that came of it."""
        command = RaiseLevel(Header(self._node, self._clock.tick(wall_ms())), level, tuple(members))
        item = raft_pb2.MachineCommand(features=encode_features_command(command))
        entry = raft_pb2.MachineCommands(commands=[item]).SerializeToString()
        await home.engine.propose(entry, PROPOSE_S, level=level)
        risen = home.machine.feature_level >= level
        log.info("feature level raised", home=home.name, feature_level=home.machine.feature_level, members=members)
        return risen

    def _tell(self, wanted: int, lagging: list[Support]) -> None:
        words = in_words(lagging)
        if words != self._told:
            self._told = words
            log.info("the feature level waits", wanted=wanted, because=words)

    async def _pause(self) -> None:
        """Until something changed; where there is something to do, no longer than to the next look."""
        has_work = self._own_log_lags() or self._homes.mesh.engine.status().role is Role.LEADER
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S if has_work else None):
                await self._changed.wait()
