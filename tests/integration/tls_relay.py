"""A relay in front of each node that ends TLS on both sides and keeps every byte that passes: the mesh without TLS.

A node takes no connection from, and makes none to, whoever cannot show a certificate of the mesh's authority with the
right name (test_tls_refusals.py). The relay can, for one reason: the test founded this mesh, and a development mesh
keeps its authority's key on the node that founded it. So it issues itself a certificate in each node's name. What holds
of the bytes that it sees, holds for everybody on the network, whatever becomes of TLS.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from weftmesh.cli.dev_mesh import CLUSTER, DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import (
    key_to_pem,
    make_key,
    make_signing_request,
    node_dns_name,
    split_node_uri,
    to_pem,
    utc_now,
)
from weftmesh.runtime.identity.founding import identity_store

INSIDE_HOST = "127.0.0.2"
"""Another address of the loopback device: a node has the port of its relay there."""
CHUNK_BYTES = 64 * 1024
POLL_S = 0.02


@dataclass
class Wire:
    """One connection.

    Attributes:
        caller: the node that made it, by its certificate.
        callee: the node that it was made to.
        sent: what the caller has sent, below TLS.
        answered: what it was sent.
    """

    caller: str
    callee: str
    sent: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


class Impostor:
    """Passes for any node: issues certificates with the authority of the mesh.

    Args:
        authority: of the mesh.
        directory: for keys and certificates.
    """

    def __init__(self, authority: Authority, directory: Path) -> None:
        self._authority = authority
        self._directory = directory

    def as_server(self, node: str) -> ssl.SSLContext:
        """What `node` would answer a handshake with."""
        return self._context(ssl.PROTOCOL_TLS_SERVER, node)

    def as_client(self, node: str) -> ssl.SSLContext:
        """What `node` would begin one with."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT, node)

    def _context(self, protocol: ssl._SSLMethod, node: str) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self._authority.certificate_pem.decode())
        context.load_cert_chain(self._pair(node))
        context.set_alpn_protocols(["h2"])
        return context

    def _pair(self, node: str) -> Path:
        path = self._directory / f"{node}.pem"
        if not path.exists():
            key = make_key()
            certificate = self._authority.issue(make_signing_request(key, node), node, now=utc_now())
            path.write_bytes(key_to_pem(key) + to_pem(certificate))
        return path


@dataclass
class Relays:
    """A relay for every node of a mesh.

    Attributes:
        directory: for what the impostor needs.
        wires: every connection, in order.
        inside: where each node listens; elsewhere it is known by its relay's address.
    """

    directory: Path
    wires: list[Wire] = field(default_factory=list)
    inside: dict[str, str] = field(default_factory=dict)

    def place(self, node: DevNode) -> None:
        """Let a node that is about to be made listen where only its relay dials."""
        self.inside[node.name] = node.listen.replace("127.0.0.1", INSIDE_HOST)
        node.environment["WEFTMESH_MESH_LISTEN"] = self.inside[node.name]

    async def run(self, mesh: DevMesh) -> None:
        """Relay from the moment that the mesh has its authority: before that there is one node, which nobody dials."""
        impostor = Impostor(await _authority_of(mesh), self.directory)
        servers = []
        try:
            for node in mesh.nodes.values():
                host, _, port = node.listen.rpartition(":")
                relay = _Relay(node.name, self.inside[node.name], impostor, self.wires)
                servers.append(
                    await asyncio.start_server(relay.serve, host, int(port), ssl=impostor.as_server(node.name))
                )
            await asyncio.get_running_loop().create_future()
        finally:
            for server in servers:
                server.close()


async def _authority_of(mesh: DevMesh) -> Authority:
    """The authority of a mesh, once it was founded."""
    while not (mesh.nodes and mesh.first.running):  # noqa: ASYNC110, the mesh has no event for it
        await asyncio.sleep(POLL_S)
    config = load_config(mesh.first.config_path, environment={})
    return identity_store(config.node.data_dir).load_authority()


class _Relay:
    """What passes for the node `node`, and dials it at `inside`."""

    def __init__(self, node: str, inside: str, impostor: Impostor, wires: list[Wire]) -> None:
        self._node = node
        self._inside = inside
        self._impostor = impostor
        self._wires = wires

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(_peer_of(writer), self._node)
        host, _, port = self._inside.rpartition(":")
        try:
            further = await asyncio.open_connection(
                host,
                int(port),
                ssl=self._impostor.as_client(wire.caller),
                server_hostname=node_dns_name(self._node, CLUSTER),
            )
        except OSError:
            writer.close()  # the node is not up; the caller will dial again
            return
        self._wires.append(wire)
        await asyncio.gather(_pump(reader, further[1], wire.sent), _pump(further[0], writer, wire.answered))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    """Pass bytes on until one side hangs up; they are kept first."""
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            kept += data
            writer.write(data)
            await writer.drain()
    writer.close()


def _peer_of(writer: asyncio.StreamWriter) -> str:
    certificate = writer.get_extra_info("peercert")
    (pair,) = (split_node_uri(name) for kind, name in certificate["subjectAltName"] if kind == "URI")
    assert pair is not None
    return pair[0]


@asynccontextmanager
async def relayed_mesh(directory: Path, count: int) -> AsyncIterator[tuple[DevMesh, Relays]]:
    """A mesh with learners whose nodes reach one another through relays alone."""
    relays = Relays(directory / "relays")
    relays.directory.mkdir(parents=True)
    mesh = DevMesh(directory, fsync=False, place=relays.place, learners=True)
    running = asyncio.create_task(relays.run(mesh))
    try:
        await mesh.up(count)
        yield mesh, relays
    finally:
        await mesh.down()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
