"""The site of an attack: a mesh of three, all its doors open, and the certificates of the attackers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.hostile.doors import Certificate, Door

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh, free_ports
from weftmesh.cli.dev_node import DevNode
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_pem, utc_now

BOARD: Final = "/weftmesh.board.v1.BoardService/GetTask"
ENROLL: Final = "/weftmesh.mesh.v1.EnrollmentService/Enroll"
RESOLVE: Final = "/weftmesh.routing.v1.RoutingService/Resolve"
DISCOVER: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
START_S: Final = 60.0
STOP_S: Final = 20.0


@dataclass
class Site:
    """What is attacked, by whom.

    Attributes:
        mesh: three nodes.
        victim: the node whose doors are attacked; it leads.
        honest: the node whose certificate an honest caller has.
        router: of the victim.
        router_log: what it writes.
        router_socket: where programs of this machine ask it.
        xds: host:port, where it tells others its tables.
        doors: of the victim and of its router.
    """

    mesh: DevMesh
    victim: DevNode
    honest: DevNode
    router: subprocess.Popen[bytes]
    router_log: Path
    router_socket: Path
    xds: str
    doors: list[Door]


@asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    """A site for as long as the block runs. The rogue is a member: it has the certificate of the third node."""
    async with dev_mesh(directory / "mesh", 3) as mesh:
        leader = await mesh.settled()
        victim = mesh.node(leader)
        honest, rogue = (node for name, node in mesh.nodes.items() if name != leader)
        async with mesh.first.client() as client:
            await client.mesh.create_join_token(mesh_pb2.CreateJoinTokenRequest())
        xds = f"127.0.0.1:{free_ports(1)[0]}"
        log = directory / "router.log"
        router = _start_router(victim, directory, xds, log)
        try:
            await _connectable(xds)
            socket = directory / "router" / "router.sock"
            yield Site(mesh, victim, honest, router, log, socket, xds, _doors(directory, mesh, victim, rogue, xds))
        finally:
            router.terminate()
            await asyncio.to_thread(router.wait, STOP_S)


def _doors(directory: Path, mesh: DevMesh, victim: DevNode, rogue: DevNode, xds: str) -> list[Door]:
    theirs = rogue.directory / "data" / "identity"
    member = Certificate(theirs / "node.pem", theirs / "node.key")
    ours = mesh.first.directory / "data" / "identity"
    authority = Authority.load((ours / "ca.pem").read_bytes(), (ours / "ca.key").read_bytes())
    others = (
        ("foreign", _issued(directory / "foreign", Authority.create("dev", now=utc_now()), rogue.name)),
        ("expired", _issued(directory / "expired", authority, rogue.name, age=timedelta(days=8))),
    )
    router = directory / "router"
    return [
        Door("mesh port", victim.listen, BOARD, member, others),
        Door("enrolment port", mesh.first.enroll, ENROLL, None, others),
        Door("xDS port", xds, DISCOVER, member, others),
        Door("local socket", str(victim.socket), BOARD),
        Door("router.sock", str(router / "router.sock"), RESOLVE),
        Door("xds.sock", str(router / "xds.sock"), DISCOVER),
    ]


def _issued(directory: Path, authority: Authority, node: str, age: timedelta = timedelta(0)) -> Certificate:
    directory.mkdir()
    key = make_key()
    certificate = authority.issue(make_signing_request(key, node), node, now=utc_now() - age)
    found = Certificate(directory / "chain.pem", directory / "key.pem")
    found.chain.write_bytes(to_pem(certificate))
    found.key.write_bytes(key_to_pem(key))
    return found


def _start_router(victim: DevNode, directory: Path, xds: str, log: Path) -> subprocess.Popen[bytes]:
    own = directory / "router"
    own.mkdir()
    command = [sys.executable, "-m", "weftmesh.router", "--config", str(victim.config_path)]
    command += ["--listen", str(own / "router.sock"), "--state-dir", str(own / "state"), "--xds", xds]
    with log.open("ab") as stream:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)


async def _connectable(address: str) -> None:
    host, port = address.rsplit(":", 1)
    async with asyncio.timeout(START_S):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                return
            await asyncio.sleep(0.05)
