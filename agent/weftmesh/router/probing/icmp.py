"""ICMP echo without root: datagram sockets, which Linux allows to the groups of `net.ipv4.ping_group_range`.

One socket for each address family serves all endpoints; the kernel sets the identifier and hands back only our replies.
The time of arrival is the kernel's, so that a busy loop does not make the way look longer.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import time
from typing import Any, Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import Probe
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.probing.answers import Answer, refused, silent
from weftmesh.router.probing.dialling import why
from weftmesh.router.probing.names import Names

PAYLOAD_BYTES: Final = 32
BURST_MAX: Final = 64
"""Replies that are read in one go, before the loop has its turn."""
NOT_ALLOWED: Final = (
    "this process may not send ICMP: allow its group with `sysctl -w net.ipv4.ping_group_range='0 2147483647'`, or use "
    "a tcp probe"
)
_HEADER: Final = struct.Struct("!BBHHH")
_TIMESPEC: Final = struct.Struct("qq")
_SO_TIMESTAMPNS: Final = 35
"""From asm-generic/socket.h; Python's socket module does not name it. Its control message has the same number."""
_ECHO: Final = {socket.AF_INET: (socket.IPPROTO_ICMP, 8), socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128)}
_REPLIES: Final = {socket.AF_INET: 0, socket.AF_INET6: 129}


class IcmpProber:
    """Sends echo requests; the port of an endpoint's address plays no part.

    Args:
        names: looks addresses up; one of its own when None.
    """

    def __init__(self, names: Names | None = None) -> None:
        self._names = names or Names()
        self._sockets: dict[socket.AddressFamily, _EchoSocket] = {}

    async def ask(self, endpoint: Endpoint, probe: Probe) -> Answer:
        """See Prober. An answer that does not count says that this machine does not allow it."""
        try:
            async with asyncio.timeout(probe.timeout_ms / 1e3):
                family, where = await self._names.find(endpoint.address)
            took_ns = await self._socket(family).echo(where, probe.timeout_ms / 1e3)
        except TimeoutError:
            return silent(probe.timeout_ms)
        except PermissionError:
            return Answer(ok=False, latency_us=None, problem=NOT_ALLOWED, counts=False)
        except OSError as error:
            return refused(f"{endpoint.address}: {why(error)}")
        except InvalidInputError as error:
            return refused(str(error))
        return Answer(ok=True, latency_us=max(1, took_ns // 1_000))

    async def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()

    def _socket(self, family: socket.AddressFamily) -> _EchoSocket:
        if family not in self._sockets:
            self._sockets[family] = _EchoSocket(family)
        return self._sockets[family]


class _EchoSocket:
    """Requests under way, by sequence number.

    Raises:
        PermissionError: the kernel does not let this process have one.
    """

    def __init__(self, family: socket.AddressFamily) -> None:
        protocol, self._type = _ECHO[family]
        self._reply = _REPLIES[family]
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._numbers = itertools.cycle(range(1 << 16))
        self._waiting: dict[int, tuple[asyncio.Future[int], str, int, int]] = {}
        """(answer, host, sent at in the wall's clock, and in the monotonic one)."""
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    async def echo(self, where: tuple[Any, ...], timeout_s: float) -> int:
        """The round trip in nanoseconds.

        Raises:
            TimeoutError: no reply came within the time; one that only waited here until it was over is in time.
            OSError: it cannot be sent, or too many are under way.
        """
        number = next(one for one in itertools.islice(self._numbers, 1 << 16) if one not in self._waiting)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        packet = _HEADER.pack(self._type, 0, 0, 0, number) + bytes(PAYLOAD_BYTES)
        # The kernel puts the checksum in: it knows the identifier.
        self._waiting[number] = (answer, where[0], time.time_ns(), time.monotonic_ns())
        try:
            self._socket.sendto(packet, (where[0], 0, *where[2:]))
            await asyncio.wait((answer,), timeout=timeout_s)
            self._read()
            if not answer.done() or answer.result() > timeout_s * 1e9:
                raise TimeoutError
            return answer.result()
        finally:
            del self._waiting[number]

    def close(self) -> None:
        """Give up what is under way."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for answer, *_ in self._waiting.values():
            answer.cancel()

    def _read(self) -> None:
        for _ in range(BURST_MAX):
            try:
                data, control, _, sender = self._socket.recvmsg(1_024, 128)
            except BlockingIOError:
                return
            except OSError:
                continue  # what the network said of one packet; its request ends by its timeout
            self._take(data, control, sender[0])

    def _take(self, data: bytes, control: list[tuple[int, int, bytes]], host: str) -> None:
        now_ns = time.monotonic_ns()
        if len(data) < _HEADER.size:
            return
        kind, code, _, _, number = _HEADER.unpack_from(data)
        waiting = self._waiting.get(number)
        if kind != self._reply or code or waiting is None:
            return
        answer, expected, sent_wall_ns, sent_ns = waiting
        if host != expected or answer.done():
            return
        took_ns = now_ns - sent_ns
        stamped_ns = _arrival_ns(control) - sent_wall_ns
        # A wall clock that was set meanwhile would show as a time that cannot be.
        answer.set_result(stamped_ns if 0 < stamped_ns < took_ns else took_ns)


def _arrival_ns(control: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0
