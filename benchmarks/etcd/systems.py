"""The two systems in the race, each three processes on loopback with mutual TLS and fsync on, in fresh directories."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from benchmarks.etcd.certificates import SERVER_NAME
from benchmarks.etcd.cluster import EtcdCluster
from benchmarks.etcd.processes import BenchmarkError
from benchmarks.etcd.schema import messages
from benchmarks.etcd.stores import Endpoint, create_request, new_value, open_store
from weftmesh.cli.dev_mesh import CLUSTER, DevMesh
from weftmesh.runtime.identity.certificates import node_dns_name

NODES: Final = 3
VOLATILE: Final = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class RawWrite:
    """One write as bytes, for a load generator that repeats it.

    Attributes:
        method: the gRPC method's path.
        message: the serialized request; each repetition is a new revision.
    """

    method: str
    message: bytes


class System(Protocol):
    """A running system of three nodes."""

    @property
    def name(self) -> str:
        """Which one it is: weftmesh or etcd."""

    @property
    def raw_write(self) -> RawWrite:
        """What a load generator repeats."""

    async def up(self) -> None:
        """Start it for the first time; return when one node leads."""

    async def down(self) -> None:
        """Stop every process."""

    async def leader(self) -> str:
        """The name of the node that all follow, once they do."""

    def endpoint(self, node: str) -> Endpoint:
        """How to connect to a node."""

    def pids(self) -> Mapping[str, int]:
        """The process of each node."""

    async def kill(self, node: str) -> None:
        """SIGKILL a node."""

    async def restart(self, node: str) -> None:
        """Start a killed node again."""


class EtcdSystem:
    """etcd as its Debian package starts it, but for the certificates."""

    name = "etcd"

    def __init__(self, directory: Path) -> None:
        self._cluster = EtcdCluster(directory)

    @property
    def raw_write(self) -> RawWrite:
        """Put of one key, again and again."""
        request = messages().PutRequest(key=b"bench/raw", value=new_value(0).encode())
        return RawWrite("/etcdserverpb.KV/Put", request.SerializeToString())

    async def up(self) -> None:
        """Start it."""
        self._cluster.directory.mkdir(parents=True)
        await self._cluster.up()

    async def down(self) -> None:
        """Stop it."""
        self._cluster.down()

    async def leader(self) -> str:
        """Who leads."""
        return await self._cluster.settled()

    def endpoint(self, node: str) -> Endpoint:
        """With the one certificate that all members and clients have."""
        address = self._cluster.members[node].address
        return Endpoint(self.name, address, node, SERVER_NAME, str(self._cluster.credentials))

    def pids(self) -> Mapping[str, int]:
        """One process each."""
        return {name: member.pid for name, member in self._cluster.members.items()}

    async def kill(self, node: str) -> None:
        """SIGKILL a member."""
        self._cluster.kill(node)

    async def restart(self, node: str) -> None:
        """Start it again."""
        self._cluster.start(node)
        await self._cluster.settled()


class WeftmeshSystem:
    """A development mesh; callers show the certificate of one of its nodes."""

    name = "weftmesh"

    def __init__(self, directory: Path) -> None:
        self._mesh = DevMesh(directory)

    @property
    def raw_write(self) -> RawWrite:
        """CreateTask without ids: the node makes them, so that each repetition is a task of its own."""
        return RawWrite("/weftmesh.board.v1.BoardService/CreateTask", create_request(new_value(0)).SerializeToString())

    async def up(self) -> None:
        """Start it."""
        await self._mesh.up(NODES)

    async def down(self) -> None:
        """Stop it."""
        await self._mesh.down()

    async def leader(self) -> str:
        """Who leads."""
        return await self._mesh.settled()

    def endpoint(self, node: str) -> Endpoint:
        """With the certificate of the first node."""
        identity = self._mesh.first.directory / "data" / "identity"
        address = self._mesh.node(node).listen
        return Endpoint(self.name, address, node, node_dns_name(node, CLUSTER), str(identity))

    def pids(self) -> Mapping[str, int]:
        """One process each."""
        return {name: node.pid for name, node in self._mesh.nodes.items()}

    async def kill(self, node: str) -> None:
        """SIGKILL a node."""
        await self._mesh.kill(node, signal.SIGKILL)

    async def restart(self, node: str) -> None:
        """Start it again."""
        await self._mesh.restart(node)
        await self._mesh.settled()


SYSTEMS: Final[Mapping[str, Callable[[Path], System]]] = {"weftmesh": WeftmeshSystem, "etcd": EtcdSystem}


@dataclass(frozen=True, slots=True)
class Field:
    """A running system as the rows use it.

    Attributes:
        entry: the node that writes enter at: the leader.
        other: a node at which others watch.
        directory: for a row's own files.
    """

    system: System
    entry: Endpoint
    other: Endpoint
    directory: Path


@asynccontextmanager
async def racing(name: str, directory: Path) -> AsyncIterator[Field]:
    """A fresh system for as long as the block runs, with the entries that are updated.

    Args:
        name: weftmesh or etcd.
        directory: on a disk; must not exist.

    Raises:
        BenchmarkError: it did not come up.
    """
    system = SYSTEMS[name](directory / name)
    try:
        await system.up()
        leader = await system.leader()
        other = next(node for node in system.pids() if node != leader)
        field = Field(system, system.endpoint(leader), system.endpoint(other), directory)
        async with open_store(field.entry) as store:
            await store.prepare()
        yield field
    finally:
        await system.down()


def check_disk(directory: Path) -> str:
    """The mount point and file system under `directory`.

    Raises:
        BenchmarkError: it is in memory, where fsync costs nothing.
    """
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if directory.resolve().is_relative_to(point)]
    point, kind = max(above, key=lambda mount: len(mount[0]))
    if kind in VOLATILE:
        raise BenchmarkError(f"{directory} is on {kind}; pass --directory on a disk: fsync is part of the race")
    return f"{point} ({kind})"
