"""Learning on one node. One that takes part in nothing has loaded next to nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

import grpc

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.learning.access import Access
from weftmesh.agent.learning.duty import DutyWatch
from weftmesh.agent.learning.egress import Ledger
from weftmesh.agent.learning.peer_service import LearningPeerServicer
from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.learning.service import LearningServicer
from weftmesh.agent.rooms import Work
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.core.clock import HybridClock
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.credentials import NodeIdentity

if TYPE_CHECKING:
    from weftmesh.agent.learning.assembly import Parts

_ASSEMBLY: Final = "weftmesh.agent.learning.assembly"


class LearningRoom:
    """Everything of learning on one node; implements `rooms.Room`, and runs nothing until somebody asks.

    Args:
        config: of the node.
        identity: its name, certificate and key.
        homes: its boards, and the replicated log.
        callers: tells who calls.
        clock: stamps commands.
        ledger: has to know first what leaves.
        dial: opens a channel to a member, by name and host:port.

    Attributes:
        service: for the local socket.
        peer_service: for the mesh port.
    """

    def __init__(
        self,
        config: Config,
        identity: NodeIdentity,
        homes: Homes,
        callers: Callers,
        clock: HybridClock,
        ledger: Ledger,
        dial: Callable[[str, str], grpc.aio.Channel],
    ) -> None:
        replica = Replica(homes.mesh)
        self._surroundings = (config, identity, homes, clock, ledger, dial, replica)
        self._assembling = asyncio.Lock()
        self._parts: Parts | None = None
        access = Access(callers, config.mesh.group)
        self.service = LearningServicer(access, DutyWatch(replica), self.parts)
        self.peer_service = LearningPeerServicer(access, self.parts, identity)

    async def parts(self) -> Parts:
        """The parts, made at the first call; their modules load in a thread, so that the board goes on meanwhile."""
        async with self._assembling:
            if self._parts is None:
                await asyncio.to_thread(import_module, _ASSEMBLY)
                from weftmesh.agent.learning.assembly import assemble

                self._parts = assemble(*self._surroundings)
            return self._parts

    @property
    def services(self) -> Sequence[Service]:
        """See rooms.Room: this node's processes are served on the local socket, members on the mesh port."""
        return [
            service(learning_pb2.DESCRIPTOR, "LearningService", learning_pb2_grpc, self.service, Door.LOCAL),
            service(learning_pb2.DESCRIPTOR, "LearningPeerService", learning_pb2_grpc, self.peer_service, Door.MESH),
        ]

    def work(self) -> Sequence[Work]:
        """See rooms.Room: nothing runs until somebody asks."""
        return ()

    async def close(self) -> None:
        """Give up what is under way, and hang up."""
        if self._parts is not None:
            await self._parts.close()
