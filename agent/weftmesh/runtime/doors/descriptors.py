"""The sockets of this process, found through its own descriptors, which takes no privilege."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from typing import Final

OVER_TCP: Final = frozenset({socket.AF_INET, socket.AF_INET6})
LOCAL: Final = frozenset({socket.AF_UNIX})
_UCRED: Final = struct.Struct("3i")


def own_descriptors() -> list[int]:
    """Every descriptor that is open now."""
    return [int(name) for name in os.listdir("/proc/self/fd")]


def duplicate(descriptor: int, families: Collection[socket.AddressFamily]) -> socket.socket | None:
    """A stream socket of this process under another descriptor, which no other thread can close meanwhile.

    What is behind `descriptor` may change at any time, and what is behind the other one never does: only that one is
    asked what it is and acted upon.

    Args:
        descriptor: of anything.
        families: None is returned for a socket of another one.
    """
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        own = os.dup(descriptor)
    except OSError:
        return None
    try:
        end = socket.socket(fileno=own)
    except OSError:  # the number was given to a file meanwhile
        os.close(own)
        return None
    if end.family in families and end.type == socket.SOCK_STREAM:
        return end
    end.close()
    return None


def named(host: str, port: int) -> tuple[str, str]:
    """An address, and how gRPC spells a peer there once `unquote` has been at it."""
    address = ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address), f"ipv6:[{address}]:{port}" if isinstance(address, IPv6Address) else f"ipv4:{address}:{port}"


def user_of(end: socket.socket) -> int:
    """The uid of whoever connected to a local socket, as the kernel knew it then.

    Raises:
        OSError: the connection is gone.
    """
    _pid, uid, _gid = _UCRED.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def shut(end: socket.socket) -> None:
    """Have a connection end as if its peer had hung up."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # its peer was quicker
