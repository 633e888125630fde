"""What the members' builds can take in: asked of each of them over its own certificate, now, and never remembered.

An answer that is kept may be wrong by the time it counts: the node may have been set back to an earlier build.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import grpc

from weftmesh.core.features.levels import FIRST_LEVEL, SUPPORTED_LEVEL
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc

ASK_S: Final = 2.0
"""For one member to answer."""
ASKED_AT_ONCE: Final = 8

Dial = Callable[[str, str], grpc.aio.Channel]


@dataclass(frozen=True, slots=True)
class Support:
    """What one member said of its build."""

    node: str
    level: int
    """The highest that it can take in; 0 when it did not answer."""
    status: mesh_pb2.NodeStatus | None = None
    """All that it said; None for this node, and when it did not answer."""
    why: str = ""
    """Why there is no answer."""


class Asks(Protocol):
    """Whoever knows what members support."""

    async def ask(self, members: Mapping[str, str], timeout_s: float = ASK_S) -> list[Support]:
        """What each of these says, sorted by name.

        Args:
            members: name to host:port.
            timeout_s: for each.
        """


class Census:
    """Asks the members themselves; implements `Asks`.

    Args:
        node: this one, which is not asked.
        dial: opens a channel to a member, by name and host:port; the certificate on the other side has that name.
        supported: what this build can take in.
    """

    def __init__(self, node: str, dial: Dial, supported: int = SUPPORTED_LEVEL) -> None:
        self._node = node
        self._dial = dial
        self._supported = supported

    async def ask(self, members: Mapping[str, str], timeout_s: float = ASK_S) -> list[Support]:
        """See Asks."""
        free = asyncio.Semaphore(ASKED_AT_ONCE)

        async def one(name: str, address: str) -> Support:
            async with free:
                return await self._ask(name, address, timeout_s)

        return list(await asyncio.gather(*(one(name, members[name]) for name in sorted(members))))

    async def _ask(self, name: str, address: str, timeout_s: float) -> Support:
        if name == self._node:
            return Support(name, self._supported)
        channel = self._dial(name, address)
        try:
            stub = mesh_pb2_grpc.MeshServiceStub(channel)
            status = await stub.GetStatus(mesh_pb2.GetStatusRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return Support(name, 0, why=f"{error.code().name}: {error.details()}")
        finally:
            await channel.close()
        # A build that knows no levels leaves the field out.
        return Support(name, status.supported_feature_level or FIRST_LEVEL, status)


def in_words(lagging: Collection[Support]) -> str:
    """Who lags, for people: `node2 runs 0.1.0 (level 1), node3 does not answer`."""
    return ", ".join(map(_one_in_words, lagging))


def _one_in_words(support: Support) -> str:
    if not support.level:
        return f"{support.node} does not answer"
    version = support.status.version if support.status is not None else "this version"
    return f"{support.node} runs {version} (level {support.level})"
