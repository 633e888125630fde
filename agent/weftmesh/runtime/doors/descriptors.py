"""The sockets of this process, found through its own descriptors, which takes no privilege."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import struct
import weakref
from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

OVER_TCP: Final = frozenset({socket.AF_INET, socket.AF_INET6})
LOCAL: Final = frozenset({socket.AF_UNIX})
HOSTS_REMEMBERED: Final = 1_024
"""Addresses as they are read: every sweep finds the same ones, and to read one takes as long as all else it costs."""
_UCRED: Final = struct.Struct("3i")


def own_descriptors() -> Iterable[int]:
    """Every descriptor that is open now, or, where none is left to look them up with, that may be."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        return range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


class Hand:
    """Holds one socket of this process at a time, under a descriptor that is its own from the start: whoever takes all
    that the process may have does not keep it from being looked at.
    """

    def __init__(self) -> None:
        self._nothing = os.open(os.devnull, os.O_RDONLY)
        self._own = os.dup(self._nothing)
        weakref.finalize(self, _close, self._nothing, self._own)

    def take(self, descriptor: int, families: Collection[socket.AddressFamily]) -> socket.socket | None:
        """Hold a stream socket, which no other thread can close meanwhile, until `let_go`.

        What is behind `descriptor` may change at any time, and what is held never does: only that is asked what it is
        and acted upon.

        Args:
            descriptor: of anything.
            families: None is returned for a socket of another one.
        """
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return None
            os.dup2(descriptor, self._own, inheritable=False)
        except OSError:
            return None
        try:
            end = socket.socket(fileno=self._own)
        except OSError:  # the number was given to a file meanwhile
            self._hold_nothing()
            return None
        if end.family in families and end.type == socket.SOCK_STREAM:
            return end
        self.let_go(end)
        return None

    def let_go(self, end: socket.socket) -> None:
        """End what `take` began."""
        end.detach()
        self._hold_nothing()

    def _hold_nothing(self) -> None:
        os.dup2(self._nothing, self._own, inheritable=False)


def named(host: str, port: int) -> tuple[str, str]:
    """An address, and how gRPC spells a peer there once `unquote` has been at it."""
    address = _address(host)
    return str(address), f"ipv6:[{address}]:{port}" if isinstance(address, IPv6Address) else f"ipv4:{address}:{port}"


@lru_cache(maxsize=HOSTS_REMEMBERED)
def _address(host: str) -> IPv4Address | IPv6Address:
    address = ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


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


def _close(*descriptors: int) -> None:
    for one in descriptors:
        os.close(one)
