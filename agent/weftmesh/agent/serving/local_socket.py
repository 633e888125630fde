"""The public Unix socket: says who calls. gRPC hides SO_PEERCRED from its handlers, so a relay stands before it.

The relay reads the caller's credentials and connects to the daemon's private socket from an abstract address that
spells them; gRPC shows a handler that address as the call's peer. The private socket lies in a directory that only the
daemon may enter. The address is signed besides, because /proc/net/unix shows it to everybody: what reaches the private
socket in another way is not taken for a caller.
"""

from __future__ import annotations

import asyncio
import grp
import hashlib
import hmac
import itertools
import os
import re
import secrets
import socket
import struct
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import structlog

from weftmesh.agent.serving.accounts import ACCOUNTS, Accounts
from weftmesh.core.errors import ConfigError
from weftmesh.runtime.local_sockets import remove_dead_socket

BUFFER_BYTES_MAX: Final = 64 * 1024
"""Per connection and direction: beyond it the relay stops to read."""
CONNECT_TIMEOUT_S: Final = 5.0
DRAIN_S: Final = 0.5
"""For what the daemon said last to reach the callers when the relay closes."""
LOG_INTERVAL_S: Final = 5.0

_UCRED: Final = struct.Struct("3i")
_SIGNATURE_BYTES: Final = 16
_PEER: Final = re.compile(r"unix-abstract:(weftmesh\.([0-9]+)\.([0-9]+)\.([0-9]+)\.[0-9]+)\.([0-9a-f]{32})")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LocalCaller:
    """A process of this machine, as the kernel knew it when it connected."""

    uid: int
    gid: int
    pid: int


def caller_from_peer(peer: str, nonce: bytes) -> LocalCaller | None:
    """Who makes a call, by `ServicerContext.peer()`; None if it did not come through the relay with this nonce."""
    found = _PEER.fullmatch(peer)
    if found is None or not hmac.compare_digest(found[5], _signature(found[1], nonce)):
        return None
    return LocalCaller(uid=int(found[2]), gid=int(found[3]), pid=int(found[4]))


class LocalSocketRelay:
    """Accepts on the public socket and pumps bytes to and from the private one.

    Args:
        public_path: where people's programs connect; its directory exists.
        upstream_path: where the daemon's gRPC server listens, in a directory of mode 0700.
        mode: permissions of the public socket; who may write may connect.
        group: owner group of the public socket; None leaves the daemon's own.
        max_connections: further connections are closed at once.
        max_connections_per_user: and those of one user beyond this, whoever he is: the others shall find room.
        accounts: what the system says of its users.
    """

    def __init__(
        self,
        public_path: Path,
        upstream_path: Path,
        mode: int = 0o660,
        group: str | None = None,
        max_connections: int = 256,
        max_connections_per_user: int = 192,
        accounts: Accounts = ACCOUNTS,
    ) -> None:
        self.nonce: Final = secrets.token_bytes(32)
        """For `caller_from_peer`."""
        self._public_path = public_path
        self._upstream_path = upstream_path
        self._mode = mode
        self._group = group
        self._max_connections = max_connections
        self._max_connections_per_user = max_connections_per_user
        self._accounts = accounts
        self._by_user: Counter[int] = Counter()
        self._numbers = itertools.count(1)
        self._clients: set[_ClientEnd] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._inode = (0, 0)
        self._warned_at_s = float("-inf")
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen on the public socket.

        Raises:
            PreconditionError: another process listens there, or something that is no socket is in the way.
            ConfigError: the path is too long, or the group cannot be given.
        """
        loop = asyncio.get_running_loop()
        taken = f"another process listens on {self._public_path}; stop it, or set another run_dir in [node]"
        remove_dead_socket(self._public_path, taken)
        listener = _bind(self._public_path, self._mode, self._group)
        self._inode = _inode(self._public_path)
        self._accounts.start()
        self._following = loop.create_task(self._accounts.follow())
        self._server = await loop.create_unix_server(lambda: _ClientEnd(self), sock=listener)

    async def close(self) -> None:
        """Stop to listen, drop every connection and remove the public socket.

        A daemon that has closed its ends first has had its last word: it is passed on, within `DRAIN_S`.
        """
        if self._server is not None:
            self._server.close()
        for task in self._connecting:
            task.cancel()
        if self._following is not None:
            self._following.cancel()
            self._accounts.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), DRAIN_S)
        for client in tuple(self._clients):
            client.abort()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        if self._public_path.exists() and _inode(self._public_path) == self._inode:
            self._public_path.unlink()

    def accept(self, client: _ClientEnd) -> None:
        """Take a new connection, or close it if there are too many."""
        if len(self._clients) >= self._max_connections:
            self._warn("local connection closed: too many", limit=self._max_connections)
            client.abort()
            return
        caller = client.credentials()
        if self._by_user[caller.uid] >= self._max_connections_per_user:
            self._warn("local connection closed: too many", uid=caller.uid, limit=self._max_connections_per_user)
            client.abort()
            return
        self._clients.add(client)
        self._by_user[caller.uid] += 1
        client.caller = caller
        self._accounts.arrive(caller.uid, caller.gid)
        self._empty.clear()
        task = asyncio.get_running_loop().create_task(self._connect(client, caller))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def forget(self, client: _ClientEnd) -> None:
        """A connection is gone."""
        if client in self._clients:
            self._by_user -= Counter((client.caller.uid,))
            self._accounts.leave(client.caller.uid, client.caller.gid)
        self._clients.discard(client)
        if not self._clients:
            self._empty.set()

    async def _connect(self, client: _ClientEnd, caller: LocalCaller) -> None:
        try:
            await self._reach(client, caller)
        except OSError as error:  # a TimeoutError is one
            client.abort()
            self._warn("local connection closed: no way to the daemon", path=str(self._upstream_path), error=str(error))

    async def _reach(self, client: _ClientEnd, caller: LocalCaller) -> None:
        loop = asyncio.get_running_loop()
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            await self._accounts.acquaint(caller.uid, caller.gid)
            upstream.bind(self._address_of(caller))
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.sock_connect(upstream, str(self._upstream_path))
                _, end = await loop.create_unix_connection(lambda: _UpstreamEnd(client), sock=upstream)
            client.join(end)
        except (OSError, asyncio.CancelledError):
            upstream.close()
            raise

    def _address_of(self, caller: LocalCaller) -> bytes:
        body = f"weftmesh.{caller.uid}.{caller.gid}.{caller.pid}.{next(self._numbers)}"
        return f"\0{body}.{_signature(body, self.nonce)}".encode()

    def _warn(self, event: str, **facts: object) -> None:
        now_s = time.monotonic()
        if now_s - self._warned_at_s >= LOG_INTERVAL_S:
            self._warned_at_s = now_s
            _log.warning(event, **facts)


class _End(asyncio.Protocol):
    """One end of a relayed connection. An end that closes, closes both: HTTP/2 has no use for half-closed ones."""

    transport: asyncio.Transport
    """From connection_made on, which is before anything else."""
    other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=BUFFER_BYTES_MAX)

    def data_received(self, data: bytes) -> None:
        if (other := self.open_other()) is not None:
            other.write(data)

    def pause_writing(self) -> None:
        if (other := self.open_other()) is not None:
            other.pause_reading()

    def resume_writing(self) -> None:
        if (other := self.open_other()) is not None:
            other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason makes no difference
        if (other := self.open_other()) is not None:
            other.close()

    def open_other(self) -> asyncio.Transport | None:
        """The other end, unless it is closing: uvloop refuses every call on a closed transport."""
        return None if self.other is None or self.other.transport.is_closing() else self.other.transport


class _ClientEnd(_End):
    """Towards whoever connected to the public socket."""

    def __init__(self, relay: LocalSocketRelay) -> None:
        self._relay = relay
        self.caller = LocalCaller(-1, -1, -1)
        """Known once the relay has accepted it."""
        self._early = b""
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._relay.accept(self)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            # pausing is of no use before the first data: uvloop starts to read after connection_made whatever it did
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost = True
        self._relay.forget(self)

    def credentials(self) -> LocalCaller:
        """What the kernel says of the process that connected."""
        raw = self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, gid = _UCRED.unpack(raw)
        return LocalCaller(uid=uid, gid=gid, pid=pid)

    def join(self, upstream: _UpstreamEnd) -> None:
        """The upstream is there: let it have what came early and what comes from now on."""
        if self._lost or upstream.ended_early:
            upstream.transport.close()
            self.transport.close()
            return
        self.other = upstream
        upstream.joined = True
        upstream.transport.write(self._early)
        self._early = b""
        self.transport.resume_reading()

    def abort(self) -> None:
        """Close without writing what is buffered."""
        self.transport.abort()


class _UpstreamEnd(_End):
    """Towards the daemon.

    Nothing may close its transport before create_unix_connection has returned: uvloop takes the socket object over
    only then, and one that it did not take over closes the same descriptor number once more when it is collected.
    """

    def __init__(self, client: _ClientEnd) -> None:
        self.other = client
        self.joined = False
        self.ended_early = False

    def eof_received(self) -> bool:
        """Stay open until joined."""
        self.ended_early = not self.joined
        return self.ended_early


def _signature(body: str, nonce: bytes) -> str:
    return hashlib.blake2b(body.encode(), key=nonce, digest_size=_SIGNATURE_BYTES).hexdigest()


def _inode(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _bind(path: Path, mode: int, group: str | None) -> socket.socket:
    """A socket with its final owner and mode. It does not listen yet, so nobody gets in before they are set."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot make the socket {path}: {error}; check run_dir in [node]") from error
    try:
        if group is not None:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(mode)
    except KeyError as error:
        listener.close()
        path.unlink(missing_ok=True)
        raise ConfigError(
            f"there is no group {group} to give the socket {path} to; make it with `groupadd --system {group}`, or set "
            "[mesh] group to one that is there"
        ) from error
    except OSError as error:
        listener.close()
        path.unlink(missing_ok=True)
        raise ConfigError(f"cannot give the socket {path} to group {group}, mode {mode:o}: {error}") from error
    return listener
