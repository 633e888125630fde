"""Probes of each kind against real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from weftmesh.core.errors import ConfigError
from weftmesh.core.ola.model import Probe, ProbeKind
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.probing.answers import Answer, Prober
from weftmesh.router.probing.health import HealthProber
from weftmesh.router.probing.http import HttpProber
from weftmesh.router.probing.icmp import NOT_ALLOWED, IcmpProber
from weftmesh.router.probing.names import Names, Where
from weftmesh.router.probing.tcp import TcpProber

TIMEOUT_MS = 5_000


@asynccontextmanager
async def served(answer: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The address of a server that answers so, and the requests that it got; with None it never answers."""
    got: list[bytes] = []
    over = asyncio.Event()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            got.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await over.wait()
            else:
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", got
    finally:
        over.set()
        server.close()


async def ask(
    prober: Prober,
    address: str,
    kind: ProbeKind,
    *,
    path: str = "",
    timeout_ms: int = TIMEOUT_MS,
    tls: bool = False,
) -> Answer:
    try:
        return await prober.ask(Endpoint("e0", address), Probe(kind, 1_000, timeout_ms, path, tls))
    finally:
        await prober.close()


def closed_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


async def test_tcp_tells_an_open_port_from_a_closed_one() -> None:
    async with served(b"") as (address, _):
        found = await ask(TcpProber(Names()), address, ProbeKind.TCP)
    assert found.ok
    assert found.latency_us is not None
    refused = await ask(TcpProber(Names()), closed_port(), ProbeKind.TCP)
    assert (refused.ok, refused.latency_us) == (False, None)
    assert "refused" in refused.problem


async def test_a_name_is_looked_up() -> None:
    async with served(b"") as (address, _):
        found = await ask(TcpProber(Names()), address.replace("127.0.0.1", "localhost"), ProbeKind.TCP)
    assert found.ok


async def test_a_resolver_that_does_not_answer_holds_one_thread_and_no_known_name() -> None:
    may, asked = threading.Event(), list[str]()

    def ask_slowly(host: str, port: int) -> Where:
        asked.append(host)
        may.wait(30.0)
        return socket.AF_INET, ("127.0.0.1", port)

    names = Names(ask_slowly)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.find("backend:80"), 0.05)
    assert asked == ["backend"]
    may.set()
    assert await names.find("backend:80") == (socket.AF_INET, ("127.0.0.1", 80))
    may.clear()
    assert await asyncio.wait_for(names.find("backend:80"), 5.0) == (socket.AF_INET, ("127.0.0.1", 80))
    may.set()
    names.close()


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999"])
async def test_an_address_that_leads_nowhere_is_a_problem_and_no_crash(address: str) -> None:
    for prober in (TcpProber(Names()), HttpProber(Names()), HealthProber()):
        found = await ask(prober, address, ProbeKind.TCP)
        assert not found.ok
        assert found.problem


@pytest.mark.parametrize(("status", "ok"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
async def test_http_is_well_below_400(status: int, ok: bool) -> None:
    async with served(f"HTTP/1.1 {status} Told\r\n\r\n".encode()) as (address, got):
        found = await ask(HttpProber(Names()), address, ProbeKind.HTTP, path="/healthz?deep=1")
    assert found.ok is ok
    assert found.latency_us is not None
    assert ok or found.problem == f"status {status}"
    assert got[0].startswith(b"GET /healthz?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n", b"x" * 100_000, b"\n"])
async def test_what_is_no_http_is_not_well(answer: bytes) -> None:
    async with served(answer) as (address, _):
        found = await ask(HttpProber(Names()), address, ProbeKind.HTTP)
    assert not found.ok


async def test_no_answer_ends_at_the_timeout() -> None:
    async with served(None) as (address, _):
        found = await ask(HttpProber(Names()), address, ProbeKind.HTTP, timeout_ms=100)
    assert (found.ok, found.latency_us, found.problem) == (False, None, "no answer within 100 ms")


async def test_a_path_cannot_bring_other_requests_in() -> None:
    async with served(b"HTTP/1.1 200 OK\r\n\r\n") as (address, got):
        found = await ask(HttpProber(Names()), address, ProbeKind.HTTP, path="/ HTTP/1.1\r\nDELETE: /")
    assert "cannot be asked" in found.problem
    assert got == []


async def test_https_is_verified_with_the_authority_that_was_named(tmp_path: Path) -> None:
    context, ca_file = certified(tmp_path)
    async with served(b"HTTP/1.1 200 OK\r\n\r\n", context) as (address, _):
        known = await ask(HttpProber(Names(), ca_file), address, ProbeKind.HTTP, tls=True)
        strange = await ask(HttpProber(Names()), address, ProbeKind.HTTP, tls=True)
    assert known.ok, known.problem
    assert not strange.ok
    assert "--probe-ca" in strange.problem


def test_an_authority_that_cannot_be_read_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        HttpProber(Names(), tmp_path / "absent")
    with pytest.raises(ConfigError, match="absent"):
        HealthProber(tmp_path / "absent")


async def test_grpc_health_tells_serving_from_not() -> None:
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await servicer.set("pay", health_pb2.HealthCheckResponse.SERVING)
        await servicer.set("sick", health_pb2.HealthCheckResponse.NOT_SERVING)
        address = f"127.0.0.1:{port}"
        assert (await ask(HealthProber(), address, ProbeKind.GRPC, path="pay")).ok
        sick = await ask(HealthProber(), address, ProbeKind.GRPC, path="sick")
        assert (sick.ok, sick.problem) == (False, "NOT_SERVING")
        unknown = await ask(HealthProber(), address, ProbeKind.GRPC, path="other")
        assert "NOT_FOUND" in unknown.problem
    finally:
        await server.stop(0)


async def test_grpc_health_comes_back_at_once_when_its_server_does() -> None:
    prober, address = HealthProber(), closed_port()
    probe, endpoint = Probe(ProbeKind.GRPC, 1_000, TIMEOUT_MS), Endpoint("e0", address)
    assert not (await prober.ask(endpoint, probe)).ok
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(address)
    await server.start()
    try:
        found = await prober.ask(endpoint, probe)
        assert found.ok, found.problem
    finally:
        await prober.close()
        await server.stop(0)


class Slow(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # generated without annotations
    """Says of one service that it does not know it, and takes its time for the others."""

    async def Check(self, request: object, context: object) -> health_pb2.HealthCheckResponse:  # noqa: N802
        if getattr(request, "service", "") == "unknown":
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown")  # type: ignore[attr-defined]
        await asyncio.sleep(0.2)
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


async def test_a_service_that_fails_takes_no_answer_from_another_at_the_same_address() -> None:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(Slow(), server)
    endpoint = Endpoint("e0", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    prober = HealthProber(idle_s=0.0)
    try:
        for _ in range(2):
            probes = [Probe(ProbeKind.GRPC, 1_000, TIMEOUT_MS, path) for path in ("pay", "unknown", "shop")]
            pay, unknown, shop = await asyncio.gather(*(prober.ask(endpoint, one) for one in probes))
            assert (pay.ok, unknown.ok, shop.ok) == (True, False, True)
        assert prober.connections() == 0
    finally:
        await prober.close()
        await server.stop(0)


async def test_a_connection_to_an_endpoint_that_went_away_is_closed() -> None:
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    ports = [server.add_insecure_port("127.0.0.1:0") for _ in range(3)]
    await server.start()
    prober = HealthProber(idle_s=0.0)
    probe = Probe(ProbeKind.GRPC, 1_000, TIMEOUT_MS)
    try:
        for port in ports:
            assert (await prober.ask(Endpoint("e0", f"127.0.0.1:{port}"), probe)).ok
        assert prober.connections() == 1
    finally:
        await prober.close()
        await server.stop(0)


async def test_a_ping_is_answered_or_says_how_to_allow_it() -> None:
    found = await ask(IcmpProber(Names()), "127.0.0.1:1", ProbeKind.ICMP)
    if found.counts:
        assert found.ok
        assert found.latency_us is not None
    else:
        assert (found.ok, found.problem) == (False, NOT_ALLOWED)


def certified(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for 127.0.0.1 of its own, and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "backend")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate_file, both = directory / "ca.pem", directory / "server.pem"
    certificate_file.write_bytes(certificate)
    both.write_bytes(certificate + secret)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(both)
    return context, certificate_file
