"""Connections to other members for learning: opened when one is needed, kept for the round, closed when it is quiet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from weftmesh.agent.learning.replica import Replica, members_of
from weftmesh.core.errors import ForbiddenError
from weftmesh.learning.v1 import learning_pb2_grpc
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.rpc import from_rpc_error

IDLE_S: Final = 60.0
"""A connection that nobody used for so long is closed."""
Dial = Callable[[str, str], grpc.aio.Channel]


@dataclass(slots=True, eq=False)
class _Connection:
    """A channel of one address, under one certificate of this node: it never takes up a renewed one."""

    address: str
    generation: int
    channel: grpc.aio.Channel
    users: int = 0
    used_at: float = field(default=0.0)
    """On the event loop's clock."""


class Peers:
    """LearningPeerService on other members."""

    def __init__(self, identity: NodeIdentity, replica: Replica, dial: Dial, idle_s: float = IDLE_S) -> None:
        self._identity = identity
        self._replica = replica
        self._dial = dial
        self._idle_s = idle_s
        self._connections: dict[str, _Connection] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def open_count(self) -> int:
        """Connections that are open."""
        return len(self._connections)

    @asynccontextmanager
    async def stub(self, node: str) -> AsyncIterator[Any]:
        """A stub of the member `node` for the block, in which a failed call is one of our errors.

        Raises:
            ForbiddenError: it is no member, or no longer.
            WeftmeshError: what the member answered, or that it did not.
        """
        connection = self._connection(node)
        connection.users += 1
        try:
            yield learning_pb2_grpc.LearningPeerServiceStub(connection.channel)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            connection.users -= 1
            connection.used_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Close every connection."""
        if self._timer is not None:
            self._timer.cancel()
        for node in list(self._connections):
            self._drop(node)
        await asyncio.gather(*self._closing)

    def _connection(self, node: str) -> _Connection:
        address = members_of(self._replica.status).get(node)
        if address is None:
            raise ForbiddenError(f"{node[:80]!r} is not a member of this mesh, or no longer", reason="NOT_A_MEMBER")
        known = self._connections.get(node)
        if known is not None and (known.address, known.generation) == (address, self._identity.generation):
            return known
        self._drop(node)
        connection = _Connection(address, self._identity.generation, self._dial(node, address))
        self._connections[node] = connection
        self._look_later()
        return connection

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._close_idle)

    def _close_idle(self) -> None:
        self._timer = None
        oldest = asyncio.get_running_loop().time() - self._idle_s
        for node, connection in list(self._connections.items()):
            if not connection.users and connection.used_at <= oldest:
                self._drop(node)
        if self._connections:
            self._look_later()

    def _drop(self, node: str) -> None:
        connection = self._connections.pop(node, None)
        if connection is not None:
            task = asyncio.get_running_loop().create_task(_close(connection))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _close(connection: _Connection) -> None:
    """Let calls under way end by their own deadlines; they have seconds."""
    await connection.channel.close(grace=IDLE_S if connection.users else None)
