"""Nodes with real certificates, real gRPC on loopback and real files; only the replicated log is of one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from tests.fakes.certificates import CLUSTER, CertificateAuthority, NodeCertificate
from tests.fakes.raft_engine import InMemoryEngine

from weftmesh.agent.board.homes import MESH, NODE_PREFIX, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.learning.room import LearningRoom
from weftmesh.agent.raft.engine import MemberRole, Role
from weftmesh.agent.serving.callers import Caller, Callers
from weftmesh.agent.serving.local_socket import LocalSocketRelay
from weftmesh.agent.serving.requests import Call
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import PreconditionError
from weftmesh.core.privacy.egress import Egress
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.learning.v1.command_pb2 import Coordinator
from weftmesh.runtime.config import Config, load_config
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel, server_credentials
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.rpc import ErrorInterceptor

JOB = "effort"
ROUND = bytes(range(16))
PENDING_MAX = 100


@dataclass
class Recorder:
    """Implements `egress.Ledger` in memory; a broken one refuses, as one on a full disk does."""

    egresses: list[Egress] = field(default_factory=list)
    broken: bool = False

    async def record(self, egress: Egress) -> int:
        await asyncio.sleep(0)
        if self.broken:
            raise PreconditionError("the egress ledger cannot be written", reason="EGRESS_NOT_RECORDED")
        self.egresses.append(egress)
        return len(self.egresses)


def mesh_home() -> tuple[Home, InMemoryEngine]:
    """A replicated board and learning machine behind a log of one process."""
    machine = LogMachines(MESH, HybridClock())
    engine = InMemoryEngine(machine)
    return Home(MESH, machine, engine, PENDING_MAX), engine


def replica_of_one() -> tuple[Replica, InMemoryEngine]:
    home, engine = mesh_home()
    return Replica(home), engine


def call(remaining_s: float = 5.0) -> Call:
    """A call of a person; made on the event loop."""
    return Call.within(Caller(actor="ann@n1", user="ann", node=""), remaining_s)


def identity_of(certificate: NodeCertificate) -> NodeIdentity:
    return NodeIdentity(
        IdentityMaterial.assemble(
            authority_pem=certificate.ca_pem, certificate_pem=certificate.certificate_pem, key_pem=certificate.key_pem
        )
    )


def question(node: str, payload: bytes = b"question", by: str = "n1", term: int = 1) -> learning_pb2.ExchangeRequest:
    return learning_pb2.ExchangeRequest(
        node=node,
        job=JOB,
        round_id=ROUND,
        coordinator=Coordinator(node=by, term=term),
        payload=payload,
        timeout_ms=5_000,
    )


def config_in(directory: Path) -> Config:
    path = directory / "weftmesh.toml"
    path.write_text(f'[node]\ndata_dir = "{directory}/data"\nrun_dir = "{directory}/run"\n')
    (directory / "data").mkdir()
    (directory / "run").mkdir()
    return load_config(path, environment={})


class BenchNode:
    """One node: its learning room, served on a local socket and a mesh port."""

    def __init__(self, name: str, directory: Path, identity: NodeIdentity) -> None:
        directory.mkdir(parents=True)
        self.name = name
        self.identity = identity
        self.config = config_in(directory)
        self.machine = LogMachines(MESH, HybridClock())
        self.engine = InMemoryEngine(self.machine, name)
        local_machine = LogMachines(f"{NODE_PREFIX}{name}", HybridClock())
        local = Home(local_machine_name(name), local_machine, InMemoryEngine(local_machine, name), PENDING_MAX)
        self.homes = Homes(Home(MESH, self.machine, self.engine, PENDING_MAX), local)
        self.ledger = Recorder()
        self.socket = directory / "run" / "api.sock"
        self.address = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        upstream = self.config.node.run_dir / "upstream.sock"
        relay = LocalSocketRelay(self.socket, upstream)
        callers = Callers(self.name, CLUSTER, relay.nonce, lambda node: node in self.engine.status().voters)
        room = LearningRoom(self.config, self.identity, self.homes, callers, HybridClock(), self.ledger, self._dial)
        local, mesh = (grpc.aio.server(interceptors=[ErrorInterceptor()]) for _ in range(2))
        learning_pb2_grpc.add_LearningServiceServicer_to_server(room.service, local)
        learning_pb2_grpc.add_LearningPeerServiceServicer_to_server(room.peer_service, mesh)
        local.add_insecure_port(f"unix:{upstream}")
        self.address = f"127.0.0.1:{mesh.add_secure_port('127.0.0.1:0', server_credentials(self.identity))}"
        async with AsyncExitStack() as stack:
            for server in (local, mesh):
                await server.start()
                stack.push_async_callback(server.stop, 0)
            await relay.start()
            stack.push_async_callback(relay.close)
            stack.push_async_callback(room.close)
            yield

    def _dial(self, node: str, address: str) -> grpc.aio.Channel:
        return open_channel(self.identity, node, address)

    @asynccontextmanager
    async def stub(self) -> AsyncIterator[Any]:
        """LearningService on the local socket."""
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            yield learning_pb2_grpc.LearningServiceStub(channel)


def local_machine_name(name: str) -> str:
    return f"{NODE_PREFIX}{name}"


@asynccontextmanager
async def bench(
    directory: Path, count: int = 3, authority: CertificateAuthority | None = None
) -> AsyncIterator[list[BenchNode]]:
    """Nodes n1 to nN that know each other; n1 leads in term 1."""
    authority = authority or CertificateAuthority()
    names = [f"n{number}" for number in range(1, count + 1)]
    nodes = [BenchNode(name, directory / name, identity_of(authority.node(name))) for name in names]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node.serving())
        for node in nodes:
            for other in nodes:
                await node.engine.change_member(other.name, MemberRole.VOTER, other.address, 1.0)
            node.engine.leader = "n1"
            node.engine.role = Role.LEADER if node.name == "n1" else Role.FOLLOWER
            node.engine.connected = set(names)
            node.engine.tell()
        yield nodes
