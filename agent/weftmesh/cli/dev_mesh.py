"""A whole mesh on loopback, of real processes with real certificates: to try things, for tests and for benchmarks."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self

from weftmesh.cli.dev_node import POLL_S, START_TIMEOUT_S, DevNode
from weftmesh.core.errors import (
    DataCorruptionError,
    InvalidInputError,
    NodeUnreachableError,
    NoQuorumError,
    NotFoundError,
)
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.config import load_config
from weftmesh.runtime.files import write_atomic
from weftmesh.runtime.identity.founding import found_cluster, join_cluster
from weftmesh.runtime.identity.join_line import JoinLine

CLUSTER: Final = "dev"
NODES_MAX: Final = 15
NODES_DEFAULT: Final = 3
SETTLE_TIMEOUT_S: Final = 60.0
_MESH_FILE: Final = "mesh.json"
_PORTS: Final = range(20_000, 32_768)
"""Below those that Linux gives to outgoing connections (net.ipv4.ip_local_port_range)."""

Place = Callable[[DevNode], None]
"""May give a node that is about to be made another address, a command prefix or an environment."""


class DevMesh:
    """A mesh under one directory. `up` makes it or starts it again; `down` stops it and leaves the data.

    Attributes:
        directory: D; a node's files are in D/nodeI, and D/mesh.json names them all.
        nodes: by name, in order.
        fsync: whether acknowledged writes are on disk.
        learners: whether nodes that `up` starts get learners, which are started when one is asked for.
        coordinators: whether they get coordinators.
        routers: whether they get routers.
    """

    def __init__(
        self,
        directory: Path,
        *,
        fsync: bool = True,
        place: Place | None = None,
        learners: bool = False,
        coordinators: bool = False,
        routers: bool = False,
    ) -> None:
        self.directory = directory.absolute()
        self.fsync = fsync
        self.learners = learners
        self.coordinators = coordinators
        self.routers = routers
        self._place = place
        self.nodes: dict[str, DevNode] = {}

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The mesh that `up` made in `directory`, running or not.

        Raises:
            NotFoundError: there is none.
        """
        path = directory.absolute() / _MESH_FILE
        try:
            found = json.loads(path.read_text())
            mesh = cls(directory, fsync=found["fsync"])
            mesh.nodes = {row["name"]: DevNode.from_json(row) for row in found["nodes"]}
        except FileNotFoundError:
            raise NotFoundError(f"{directory} holds no mesh; make one: weftmesh dev up --dir {directory}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataCorruptionError(f"{path} cannot be read ({error}); remove {directory} and begin anew") from error
        return mesh

    @classmethod
    def exists(cls, directory: Path) -> bool:
        """Whether `up` made a mesh in `directory`."""
        return (directory / _MESH_FILE).exists()

    @property
    def first(self) -> DevNode:
        """The node that founded the mesh."""
        return next(iter(self.nodes.values()))

    def node(self, name: str) -> DevNode:
        """The node of this name.

        Raises:
            NotFoundError: there is none.
        """
        if name not in self.nodes:
            raise NotFoundError(f"there is no {name} in {self.directory}; there are {', '.join(self.nodes)}")
        return self.nodes[name]

    async def up(self, count: int | None = None) -> None:
        """Make a mesh of `count` nodes, or start the one that is there; return when all vote and one leads.

        A node that runs goes on; it gets a router if it has none and routers are wanted.

        Args:
            count: of nodes; None for as many as there are, or NODES_DEFAULT.

        Raises:
            InvalidInputError: the mesh that is there has another number of nodes.
            NodeUnreachableError: a node did not come up.
            NoQuorumError: they did not agree on a leader in time.
        """
        if self.exists(self.directory):
            found = DevMesh.load(self.directory)
            if count not in (None, len(found.nodes)):
                raise InvalidInputError(
                    f"the mesh in {self.directory} has {len(found.nodes)} nodes, and not {count}; make another one in "
                    "another --dir, or remove this one (weftmesh dev down --wipe)"
                )
            self._take_over(found)
            for node in self.nodes.values():
                if not node.running:
                    node.learner, node.coordinator, node.router = self.learners, self.coordinators, self.routers
                    node.start()
                elif self.routers:
                    node.add_router()
            self.save()
            await asyncio.gather(*(node.ready() for node in self.nodes.values()))
            await self.settled()
        else:
            await self._make(NODES_DEFAULT if count is None else count)

    async def _make(self, count: int) -> None:
        if not 1 <= count <= NODES_MAX:
            raise InvalidInputError(f"a development mesh has 1 to {NODES_MAX} nodes, not {count}")
        self.directory.mkdir(parents=True, exist_ok=True)
        ports = free_ports(2 * count)
        for number in range(1, count + 1):
            name = f"node{number}"
            listen, enroll = (f"127.0.0.1:{ports.pop()}" for _ in range(2))
            self.nodes[name] = DevNode(
                name,
                self.directory / name,
                listen,
                enroll,
                learner=self.learners,
                coordinator=self.coordinators,
                router=self.routers,
            )
            if self._place is not None:
                self._place(self.nodes[name])
            self.nodes[name].write_config(self.fsync)
        try:
            for node in self.nodes.values():
                await self._enrol(node)
                node.start()
                self.save()
                await node.ready()
            await self.settled()
        except BaseException:
            # Half a mesh cannot be started again: what is left are the logs.
            await self.down()
            self._forget()
            raise

    async def _enrol(self, node: DevNode) -> None:
        config = load_config(node.config_path, environment={})
        if node is self.first:
            await asyncio.to_thread(found_cluster, config, CLUSTER, node.name, node.listen)
            return
        async with self.first.client() as client:
            request = mesh_pb2.CreateJoinTokenRequest(node_name=node.name)
            token = await client.mesh.create_join_token(request, timeout_s=START_TIMEOUT_S)
        await join_cluster(config, JoinLine.parse(token.join_command), node.name, node.listen)

    async def settled(self, timeout_s: float = SETTLE_TIMEOUT_S) -> str:
        """Wait until every running node knows all voters and the same leader; the leader's name.

        Raises:
            NoQuorumError: not in time.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while (leader := await self.leader()) is None:
            if asyncio.get_running_loop().time() >= deadline:
                raise NoQuorumError(f"the nodes in {self.directory} did not agree on a leader in {timeout_s:g} s")
            await asyncio.sleep(POLL_S)
        return leader

    async def leader(self) -> str | None:
        """The leader that all running nodes follow, each knowing every voter; None while there is none."""
        leaders = set()
        for node in self.nodes.values():
            if node.running:
                try:
                    async with node.client(timeout_s=1.0) as client:
                        status = await client.mesh.get_status(timeout_s=1.0)
                except NodeUnreachableError:
                    return None
                voters = {member.name for member in status.members if member.role == mesh_pb2.MEMBER_ROLE_VOTER}
                everybody = voters == set(self.nodes)
                leaders.add(status.leader if status.quorum and everybody else "")
        return leaders.pop() or None if len(leaders) == 1 else None

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a node; with SIGKILL and SIGTERM, return once it is gone."""
        node = self.node(name)
        node.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            await node.stop()

    async def restart(self, name: str) -> None:
        """Start a node again, stopping it first if it runs; return when its socket answers."""
        node = self.node(name)
        await node.stop()
        node.start()
        self.save()
        await node.ready()

    async def down(self, *, wipe: bool = False) -> None:
        """Stop every node; with `wipe`, remove what they stored."""
        await asyncio.gather(*(node.stop() for node in self.nodes.values()))
        if wipe:
            for node in self.nodes.values():
                shutil.rmtree(node.directory, ignore_errors=True)
            self._forget()

    def save(self) -> None:
        """Write mesh.json."""
        write_atomic(self.directory / _MESH_FILE, json.dumps(self.to_json(), indent=2).encode() + b"\n")

    def to_json(self) -> dict[str, object]:
        """What mesh.json holds."""
        nodes = [node.to_json() for node in self.nodes.values()]
        return {"directory": str(self.directory), "cluster": CLUSTER, "fsync": self.fsync, "nodes": nodes}

    def _forget(self) -> None:
        for node in self.nodes.values():
            shutil.rmtree(node.directory / "data", ignore_errors=True)
        (self.directory / _MESH_FILE).unlink(missing_ok=True)

    def _take_over(self, other: DevMesh) -> None:
        self.nodes, self.fsync = other.nodes, other.fsync


@asynccontextmanager
async def dev_mesh(
    directory: Path,
    count: int = 3,
    *,
    fsync: bool = True,
    place: Place | None = None,
    learners: bool = False,
    routers: bool = False,
) -> AsyncIterator[DevMesh]:
    """A mesh for as long as the block runs; its files stay."""
    mesh = DevMesh(directory, fsync=fsync, place=place, learners=learners, routers=routers)
    try:
        await mesh.up(count)
        yield mesh
    finally:
        await mesh.down()


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on, all different; no connection gets one of them while a node is stopped."""
    candidates = iter(secrets.SystemRandom().sample(_PORTS, len(_PORTS)))
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            listener = stack.enter_context(socket.socket())
            with suppress(OSError):
                listener.bind(("127.0.0.1", next(candidates)))
                found.append(listener.getsockname()[1])
        return found
