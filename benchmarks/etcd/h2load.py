"""h2load, a load generator in C that favours neither system, and the forwarder it needs.

h2load cannot show a client certificate, and both systems demand one. haproxy in its TCP mode adds it: it copies bytes
between h2load's plain connection and a TLS connection to the node, one for one, without looking at HTTP. It stands in
front of both systems with the same settings, does the TLS work that h2load would do, and adds one hop on loopback.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.etcd import processes
from benchmarks.etcd.processes import BenchmarkError, output_of, program
from benchmarks.etcd.stores import Endpoint, open_store
from benchmarks.etcd.systems import RawWrite
from weftmesh.cli.dev_mesh import free_ports

CONNECTIONS_MAX: Final = 4
CONNECT_TIMEOUT_S: Final = 5.0
FINISH_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.02
WARM_UP_S: Final = 0.5
ANSWERED: Final = "200"
BEGUN_IN_WARM_UP: Final = "0"
"""What the log has for a request that was answered in the measured time but begun before: it counts for the rate."""

_CONFIGURATION: Final = """
global
  nbthread 1
  maxconn 64
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen forwarder
  bind {listen}
  server node {address} ssl crt {chain} ca-file {authority} verify required verifyhost {name} sni str({name}) alpn h2 \
ciphersuites TLS_AES_128_GCM_SHA256 ssl-min-ver TLSv1.3
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """What h2load measured.

    Attributes:
        took_us: of each answered request.
        rate_per_s: answers a second.
        written: writes of the whole run, the warm-up included.
    """

    took_us: list[int]
    rate_per_s: float
    written: int


@asynccontextmanager
async def forwarder(endpoint: Endpoint, directory: Path) -> AsyncIterator[str]:
    """The host:port of a plain port whose connections reach the endpoint over mutual TLS.

    Raises:
        BenchmarkError: haproxy is not installed, or does not listen.
    """
    credentials = Path(endpoint.credentials)
    chain = directory / "forwarder.pem"
    chain.touch(mode=0o600)
    chain.write_bytes((credentials / "node.pem").read_bytes() + (credentials / "node.key").read_bytes())
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    configuration = directory / "haproxy.cfg"
    configuration.write_text(
        _CONFIGURATION.format(
            listen=listen,
            address=endpoint.address,
            chain=chain,
            authority=credentials / "ca.pem",
            name=endpoint.server_name,
        )
    )
    log = directory / "haproxy.log"
    process = processes.start([program("haproxy", "haproxy"), "-db", "-f", str(configuration)], log)
    try:
        await _listening(listen, log)
        yield listen
    finally:
        await asyncio.to_thread(processes.stop, process)


async def repeat(endpoint: Endpoint, write: RawWrite, in_flight: int, duration_s: float, directory: Path) -> Answers:
    """Repeat a write with so many unanswered at any time.

    A gRPC call that fails has HTTP status 200 too, so the revision says whether every answer was a write.

    Raises:
        BenchmarkError: h2load is not installed or failed, or there were answers that wrote nothing.
    """
    body, log = directory / "request.bin", directory / "h2load.log"
    body.write_bytes(b"\0" + len(write.message).to_bytes(4, "big") + write.message)
    log.unlink(missing_ok=True)
    connections = min(in_flight, CONNECTIONS_MAX)
    async with open_store(endpoint) as store, forwarder(endpoint, directory) as address:
        before = await store.revision()
        command = [program("h2load", "nghttp2-client"), f"--clients={connections}", "--threads=1"]
        command += [f"--max-concurrent-streams={in_flight // connections}", f"--data={body}", f"--log-file={log}"]
        command += [f"--duration={duration_s * 1e3:g}ms", f"--warm-up-time={WARM_UP_S * 1e3:g}ms"]
        command += ["--header=content-type: application/grpc", "--header=te: trailers"]
        await output_of([*command, f"http://{address}{write.method}"], WARM_UP_S + duration_s + FINISH_TIMEOUT_S)
        answers = _answers(log, duration_s, await store.revision() - before)
    if answers.written < len(answers.took_us):
        raise BenchmarkError(
            f"{endpoint.system} answered {len(answers.took_us)} raw calls, but wrote {answers.written} only"
        )
    return answers


def _answers(log: Path, duration_s: float, written: int) -> Answers:
    """What the log says.

    Raises:
        BenchmarkError: a request failed.
    """
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    statuses = Counter(row[1] for row in rows)
    if not statuses[ANSWERED] or set(statuses) - {ANSWERED, BEGUN_IN_WARM_UP}:
        raise BenchmarkError(f"h2load: requests by their HTTP status: {dict(statuses)}")
    return Answers([int(row[2]) for row in rows if row[1] == ANSWERED], len(rows) / duration_s, written)


async def _listening(address: str, log: Path) -> None:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while True:
                with socket.socket() as probe:
                    probe.settimeout(POLL_S)
                    if probe.connect_ex((host, int(port))) == 0:
                        return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise BenchmarkError(f"haproxy does not listen on {address}; see {log}") from None
