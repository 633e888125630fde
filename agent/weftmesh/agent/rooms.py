"""What the rooms of a node stand on, and what a room is: something with services, work of its own, and an end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.features import Features
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.serving.services import Service
from weftmesh.core.clock import HybridClock
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.credentials import NodeIdentity

Work = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True)
class Ground:
    """What every room stands on.

    Attributes:
        config: of the node.
        identity: its name, certificate and key.
        homes: its boards, and the replicated log.
        callers: tells who calls.
        clock: stamps commands.
        dial: opens a channel to a member, by name and host:port.
        new_ulid: an id of now.
        features: what the mesh can take in; asked before a command that earlier builds do not know.
    """

    config: Config
    identity: NodeIdentity
    homes: Homes
    callers: Callers
    clock: HybridClock
    dial: Callable[[str, str], grpc.aio.Channel]
    new_ulid: Callable[[], str]
    features: Features

    def disk(self) -> SystemDisk:
        """Where a room keeps files of its own; synced as the log is."""
        return SystemDisk(fsync=self.config.raft.fsync)


class Room(Protocol):
    """One part of a node. It is made before the log runs, and closed after the log has ended."""

    @property
    def services(self) -> Sequence[Service]:
        """What it serves."""

    def work(self) -> Sequence[Work]:
        """What runs as long as the node does; a node whose work fails cannot go on."""

    async def close(self) -> None:
        """Give up what is under way, and close its files."""
