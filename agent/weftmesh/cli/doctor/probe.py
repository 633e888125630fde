"""Asks one member over its mesh port in steps, each timed: name, connection, mutual TLS, answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from weftmesh.cli.doctor.check import in_thread
from weftmesh.client import connect
from weftmesh.client.target import Identity
from weftmesh.core.errors import WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.identity.certificates import node_dns_name

NAME_TIMEOUT_S: Final = 4.0
CONNECT_TIMEOUT_S: Final = 2.0
TLS_TIMEOUT_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 3.0
"""All answers together."""
ANSWERS: Final = 3


@dataclass(slots=True)
class Answer:
    """How far one member could be asked; times in seconds, None for steps that were not taken or failed."""

    node: str
    address: str
    failed_step: str = ""
    """name, connect, tls or answer; empty when all went well."""
    error: str = ""
    refused: bool = False
    """The host is there and nobody listens."""
    connect_s: float | None = None
    tls_s: float | None = None
    answer_s: float | None = None
    certificate_until: datetime | None = None
    status: mesh_pb2.NodeStatus | None = None
    clock_ahead_s: float | None = None
    """Its wall clock minus this one."""
    clock_error_s: float = 0.0
    """By how much `clock_ahead_s` may be wrong: half of what the call took."""

    @property
    def times(self) -> str:
        """The steps that were taken, in words."""
        steps = (("connected", self.connect_s), ("mutual TLS", self.tls_s), ("answer", self.answer_s))
        return ", ".join(f"{what} in {took_s * 1e3:.1f} ms" for what, took_s in steps if took_s is not None)


async def ask(directory: Path, cluster: str, node: str, address: str) -> Answer:
    """Ask the member `node` at "host:port", with the identity in `directory`."""
    answer = Answer(node, address)
    steps = (
        ("name", NAME_TIMEOUT_S, _look_up(address)),
        ("connect", CONNECT_TIMEOUT_S, _connect(answer)),
        ("tls", TLS_TIMEOUT_S, _shake_hands(answer, directory, cluster)),
        ("answer", ANSWER_TIMEOUT_S, _get_status(answer, directory)),
    )
    for step, timeout_s, work in steps:
        if answer.failed_step:
            work.close()
        else:
            await _take(answer, step, timeout_s, work)
    return answer


async def _take(answer: Answer, step: str, timeout_s: float, work: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await work
    except TimeoutError:
        answer.failed_step, answer.error = step, f"no answer in {timeout_s:g} s"
    except ssl.SSLError as error:
        answer.failed_step = step
        answer.error = getattr(error, "verify_message", "") or error.reason or str(error)
    except (OSError, WeftmeshError) as error:
        answer.failed_step, answer.refused = step, isinstance(error, ConnectionRefusedError)
        answer.error = (error.strerror if isinstance(error, OSError) else "") or str(error)


async def _look_up(address: str) -> None:
    host, port = split_address(address)
    await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def _connect(answer: Answer) -> None:
    begun_s = time.monotonic()
    _, writer = await asyncio.open_connection(*split_address(answer.address))
    answer.connect_s = time.monotonic() - begun_s
    writer.close()


async def _shake_hands(answer: Answer, directory: Path, cluster: str) -> None:
    """Prove both sides to one another; gRPC would keep the reason of a refusal to itself."""
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(directory / "node.pem", directory / "node.key")
    context.set_alpn_protocols(["h2"])
    host, port = split_address(answer.address)
    begun_s = time.monotonic()
    name = node_dns_name(answer.node, cluster)
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
    try:
        certificate = writer.get_extra_info("peercert")
        answer.certificate_until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
        # In TLS 1.3 a server judges our certificate after the handshake; its first byte says that it took it.
        if not await reader.read(1):
            raise ConnectionResetError(0, "the connection was closed after the handshake")
        answer.tls_s = time.monotonic() - begun_s
    finally:
        writer.transport.abort()


async def _get_status(answer: Answer, directory: Path) -> None:
    """Ask a few times: the fastest answer tells the clock best (D. Mills, "Internet Time Synchronization", 1991)."""
    async with connect(answer.address, identity=Identity(directory, answer.node), timeout_s=CONNECT_TIMEOUT_S) as node:
        for _ in range(ANSWERS):
            sent_s, begun_s = time.time(), time.monotonic()
            status = await node.mesh.get_status(timeout_s=ANSWER_TIMEOUT_S)
            took_s = time.monotonic() - begun_s
            if answer.answer_s is None or took_s < answer.answer_s:
                answer.status, answer.answer_s = status, took_s
                answer.clock_error_s = took_s / 2
                answer.clock_ahead_s = _ahead_s(status, sent_s + took_s / 2)


def _ahead_s(status: mesh_pb2.NodeStatus, middle_s: float) -> float | None:
    """A member's wall clock minus this one's in the middle of the call; None from a member that does not tell."""
    if not status.HasField("current_time"):
        return None
    return status.current_time.ToNanoseconds() / 1e9 - middle_s
