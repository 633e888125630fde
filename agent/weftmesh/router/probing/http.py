"""HTTP: GET a path on a connection of its own; well is an answer with a status below 400."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from pathlib import Path
from typing import Final

from weftmesh.core.errors import ConfigError, InvalidInputError
from weftmesh.core.ola.model import Probe
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.probing.answers import Answer, in_time, refused, silent
from weftmesh.router.probing.arrival import data_waited_s, exchange_s, heard_within
from weftmesh.router.probing.dialling import dialled, why
from weftmesh.router.probing.names import Names
from weftmesh.runtime.addresses import split_address

STATUS_LINE_BYTES_MAX: Final = 1_024
WELL_BELOW: Final = 400
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r\n]")
_PATH: Final = re.compile(r"/[!-~]*")
"""RFC 9112: what a request line may carry; a space or a line end in it would make other requests of it."""


class HttpProber:
    """Asks with HTTP/1.1, or the same over TLS.

    The latency is the time that connecting took and that from the request to the status line, without the time for
    which this process let either of them wait; the round trip that connecting took is the network's part.

    Args:
        names: looks addresses up; one of its own when None.
        ca_file: certificates of authorities to trust beside those of the system.

    Raises:
        ConfigError: `ca_file` cannot be read.
    """

    def __init__(self, names: Names | None = None, ca_file: Path | None = None) -> None:
        self._names = names or Names()
        self._tls = ssl.create_default_context()
        if ca_file is not None:
            try:
                self._tls.load_verify_locations(ca_file)
            except OSError as error:
                raise ConfigError(f"{ca_file}: {error}; name a file of certificates in PEM") from error

    async def ask(self, endpoint: Endpoint, probe: Probe) -> Answer:
        """See Prober."""
        try:
            async with (
                heard_within(probe.timeout_ms / 1e3),
                dialled(endpoint.address, self._names) as (connection, took_s),
            ):
                begun_s = time.monotonic() - took_s
                status = await self._status(connection, endpoint.address, probe)
                latency_s = time.monotonic() - begun_s - data_waited_s(connection)
                if not probe.tls and (exchanged_s := exchange_s(connection)) is not None:
                    latency_s = min(latency_s, took_s + exchanged_s)
                return in_time(_answer(status, latency_s, took_s), probe.timeout_ms)
        except TimeoutError:
            return silent(probe.timeout_ms)
        except ssl.SSLCertVerificationError as error:
            return refused(f"{endpoint.address}: {error.verify_message}; trust its authority with --probe-ca")
        except OSError as error:
            return refused(f"{endpoint.address}: {why(error)}")
        except InvalidInputError as error:
            return refused(str(error))

    async def close(self) -> None:
        """Nothing stays open."""

    async def _status(self, connection: socket.socket, address: str, probe: Probe) -> int:
        """Send the request and return the status of the answer; 0 where it is no HTTP."""
        host, _ = split_address(address)
        path = probe.path or "/"
        if not _PATH.fullmatch(path):
            raise InvalidInputError(f"the probe's path {path[:80]!r} cannot be asked for; write it as in a URL")
        text = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: weftmesh\r\nConnection: close\r\n\r\n"
        request = text.encode("ascii")
        if not probe.tls:
            connection.sendall(request)  # at once: what a stream writes waits for turns of the loop
        reader, writer = await asyncio.open_connection(
            sock=connection.dup(),
            ssl=self._tls if probe.tls else None,
            server_hostname=host if probe.tls else None,
            limit=STATUS_LINE_BYTES_MAX,
        )
        try:
            if probe.tls:
                writer.write(request)
            line = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return 0
        finally:
            # Nothing more is wanted of the answer, and a TLS peer might take its time to say goodbye.
            writer.transport.abort()
        found = _STATUS.match(line)
        return int(found[1]) if found else 0


def _answer(status: int, latency_s: float, connect_s: float) -> Answer:
    latency_us = int(latency_s * 1e6)
    if not status:
        return refused("the answer is not HTTP/1.1", latency_us)
    if status >= WELL_BELOW:
        return refused(f"status {status}", latency_us)
    return Answer(ok=True, latency_us=latency_us, server_us=max(0, int((latency_s - connect_s) * 1e6)))
