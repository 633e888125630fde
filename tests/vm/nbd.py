"""Serves a disk to one qemu over the Network Block Device protocol, as far as qemu speaks it.

That is: the fixed newstyle handshake, one export without a name, simple replies, and writes that may ask to be durable
(doc/proto.md of the project NetworkBlockDevice/nbd).
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from tests.vm.volatile_disk import VolatileDisk

GREETING = struct.pack(">QQH", 0x4E42444D41474943, 0x49484156454F5054, 0b11)  # fixed newstyle, no zeroes
OPTION = struct.Struct(">QII")
OPTION_REPLY = struct.Struct(">QIII")
OPTION_REPLY_MAGIC = 0x3E889045565A9
OPTION_ABORT, OPTION_GO = 2, 7
ACKNOWLEDGED, INFORMATION, UNSUPPORTED = 1, 3, 0x80000001
EXPORT = struct.Struct(">HQH")
EXPORT_FLAGS = 0b1101
"""There are flags; flushes and durable writes are understood."""

REQUEST = struct.Struct(">IHHQQI")
REPLY = struct.Struct(">IIQ")
REPLY_MAGIC = 0x67446698
DURABLE = 1
ACCEPT_TIMEOUT_S = 120.0


class Kind(IntEnum):
    """What a request wants."""

    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3


class Server:
    """Serves from the moment it is made until the machine that connected is gone.

    Args:
        disk: what is served.
        path: the Unix socket to serve it on.
    """

    def __init__(self, disk: VolatileDisk, path: Path) -> None:
        self._disk = disk
        self._no_flush = threading.Event()
        self._stuck = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(ACCEPT_TIMEOUT_S)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when the machine is gone."""
        self._thread.join()

    def stop_at_flush(self, timeout_s: float) -> bool:
        """Answer no flush that has something to flush, and nothing after it; returns whether one was asked for.

        What was written before it is on the disk then, and may be lost.
        """
        self._no_flush.set()
        return self._stuck.wait(timeout_s)

    def _serve(self) -> None:
        with self._listener:
            connection, _ = self._listener.accept()
        connection.settimeout(None)
        with connection, connection.makefile("rb") as stream:
            try:
                if self._negotiate(connection, stream):
                    while self._answer(connection, stream):
                        pass
            except (EOFError, ConnectionError):
                pass  # how a killed machine hangs up

    def _negotiate(self, connection: socket.socket, stream: BinaryIO) -> bool:
        connection.sendall(GREETING)
        _exactly(stream, 4)
        while True:
            _, option, length = OPTION.unpack(_exactly(stream, OPTION.size))
            _exactly(stream, length)

            def reply(kind: int, data: bytes = b"", option: int = option) -> None:
                connection.sendall(OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, kind, len(data)) + data)

            if option == OPTION_GO:
                reply(INFORMATION, EXPORT.pack(0, self._disk.size_bytes, EXPORT_FLAGS))
            reply(ACKNOWLEDGED if option in (OPTION_GO, OPTION_ABORT) else UNSUPPORTED)
            if option in (OPTION_GO, OPTION_ABORT):
                return bool(option == OPTION_GO)

    def _answer(self, connection: socket.socket, stream: BinaryIO) -> bool:
        """Do what one request wants; returns whether there will be more."""
        _, flags, kind, cookie, offset, length = REQUEST.unpack(_exactly(stream, REQUEST.size))
        error, data = 0, b""
        match kind:
            case Kind.READ:
                data = self._disk.read(offset, length)
            case Kind.WRITE:
                self._disk.write(offset, _exactly(stream, length), durable=bool(flags & DURABLE))
            case Kind.FLUSH if self._no_flush.is_set() and self._disk.has_unflushed:
                self._stuck.set()
                stream.read()  # until it is killed
                return False
            case Kind.FLUSH:
                self._disk.flush()
            case Kind.DISCONNECT:
                return False
            case _:
                error = errno.EINVAL
        connection.sendall(REPLY.pack(REPLY_MAGIC, error, cookie) + data)
        return True


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise EOFError
    return data
