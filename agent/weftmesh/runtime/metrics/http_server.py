"""A small HTTP/1.1 server for answers that are always there to read: one request a connection, everything bounded.

It knows GET and HEAD, reads no bodies, and closes after each answer, which every scraper takes (RFC 9112, 9.6). Whoever
is slow, sends too much or is one too many costs a timeout, a buffer or a socket, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.local_sockets import remove_dead_socket

CONNECTIONS_MAX: Final = 16
"""At a time; further ones are closed at once."""
HEAD_BYTES_MAX: Final = 8 * 1024
"""Of a request's line and headers together."""
EXCHANGE_S: Final = 5.0
"""From the connection to the last byte of the answer."""
SOCKET_MODE: Final = 0o660
PLAIN_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    body: bytes
    content_type: str = PLAIN_TEXT
    status: HTTPStatus = HTTPStatus.OK


Page = Callable[[Mapping[str, str]], Awaitable[Answer]]
"""Makes the answer to a request with these headers, names in lower case."""


class HttpServer:
    """Serves pages by their path.

    Args:
        pages: path to page.
    """

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._connections = 0
        self._servers: list[asyncio.Server] = []

    async def listen(self, address: str) -> int:
        """Serve on host:port, over plain HTTP.

        Returns:
            The port, which the system chose where the address says 0.

        Raises:
            PreconditionError: the address cannot be listened on.
        """
        host, port = split_address(address)
        try:
            server = await asyncio.start_server(self._serve, host, port, limit=HEAD_BYTES_MAX)
        except OSError as error:
            raise PreconditionError(
                f"cannot serve metrics on {address}: {error.strerror or error}. Free the port, or set [metrics] listen "
                "to another address"
            ) from error
        self._servers.append(server)
        found: int = server.sockets[0].getsockname()[1]
        return found

    async def listen_beside(self, path: Path) -> None:
        """Serve on a Unix socket, for its owner and its group.

        Raises:
            PreconditionError: it cannot be made, or another process listens there.
        """
        try:
            remove_dead_socket(
                path, f"another process serves its metrics on {path}; end that one, or name another path"
            )
            server = await asyncio.start_unix_server(self._serve, path, limit=HEAD_BYTES_MAX)
            os.chmod(path, SOCKET_MODE)
        except OSError as error:
            raise PreconditionError(f"cannot serve metrics on {path}: {error.strerror or error}") from error
        self._servers.append(server)

    async def close(self) -> None:
        """Take no more connections; those that are open end by their own bound."""
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            async with asyncio.timeout(EXCHANGE_S):
                await self._exchange(reader, writer)
        except (TimeoutError, OSError):
            writer.transport.abort()
        finally:
            self._connections -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return  # it went away
        except asyncio.LimitOverrunError:
            method, answer = "GET", _problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            method, answer = await self._answer(head)
        writer.write(_response_head(answer) + (b"" if method == "HEAD" else answer.body))
        await writer.drain()
        with suppress(OSError):
            writer.write_eof()
            # What came behind the request is read: closing on unread bytes would reset the answer away.
            while await reader.read(HEAD_BYTES_MAX):
                pass

    async def _answer(self, head: bytes) -> tuple[str, Answer]:
        request, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = request.partition(" ")
        target, _, protocol = rest.rpartition(" ")
        if protocol not in ("HTTP/1.1", "HTTP/1.0") or not target.startswith("/"):
            return method, _problem(HTTPStatus.BAD_REQUEST)
        if method not in ("GET", "HEAD"):
            return method, _problem(HTTPStatus.METHOD_NOT_ALLOWED)
        page = self._pages.get(target.partition("?")[0])
        if page is None:
            return method, _problem(HTTPStatus.NOT_FOUND, ", ".join(self._pages))
        pairs = (line.partition(":") for line in lines if line)
        return method, await page({name.strip().lower(): value.strip() for name, _, value in pairs})


def _problem(status: HTTPStatus, there_is: str = "") -> Answer:
    said = f"{status.value} {status.phrase}" + (f"; there is {there_is}" if there_is else "")
    return Answer(f"{said}\n".encode(), status=status)


def _response_head(answer: Answer) -> bytes:
    status = answer.status
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
