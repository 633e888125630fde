"""Waiting for what the core decides: the outcome of a proposal, and the index from which a read may be served."""

from __future__ import annotations

import asyncio

from weftmesh.agent.raft.core.hardened import HardenedSyncObj
from weftmesh.agent.raft.core.proposals import Proposals, Stage, no_quorum, unknown
from weftmesh.agent.raft.driving import CoreDriver
from weftmesh.agent.raft.engine import Applied
from weftmesh.agent.raft.settling import settle
from weftmesh.mesh.v1 import raft_pb2


class Waiting:
    """Those who wait for the core; whoever stops waiting gives up what it asked for.

    Args:
        core: decides.
        proposals: of the core.
        driver: lets it act on what is asked.
    """

    def __init__(self, core: HardenedSyncObj, proposals: Proposals, driver: CoreDriver) -> None:
        self._core = core
        self._proposals = proposals
        self._driver = driver

    def check_running(self) -> None:
        """Raise NoQuorumError where the core does not run."""
        if not self._driver.running:
            raise no_quorum("this node does not take part now")

    async def commit(self, payload: raft_pb2.LogPayload, timeout_s: float) -> Applied:
        """Submit a payload and wait for its outcome.

        Raises:
            WeftmeshError: as RaftEngine.propose does.
        """
        self.check_running()
        outcome: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()
        waiter = self._proposals.submit(payload, lambda result: settle(outcome, result))
        self._driver.schedule()
        try:
            async with asyncio.timeout(max(timeout_s, 0.0)):
                return await outcome
        except TimeoutError:
            why = f"no majority answered within {timeout_s:g} s"
            raise (no_quorum(why) if waiter.stage is Stage.QUEUED else unknown(why)) from None
        finally:
            self._proposals.give_up(waiter, "nobody waits for it any more")

    async def read_barrier(self, timeout_s: float) -> int:
        """See RaftEngine."""
        self.check_running()
        outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        ticket = self._core.begin_read(lambda result: settle(outcome, result))
        self._driver.schedule()
        try:
            async with asyncio.timeout(max(timeout_s, 0.0)):
                return await outcome
        except TimeoutError:
            raise no_quorum(f"no majority answered within {timeout_s:g} s") from None
        finally:
            self._core.forget_read(ticket)
