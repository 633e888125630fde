"""host:port, as people write it and as sockets want it."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from weftmesh.core.errors import InvalidInputError

_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_.])?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_PORT_MAX: Final = 65_535


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port" or "[ipv6]:port".

    Raises:
        InvalidInputError: it is neither, or the port is beyond 65535.
    """
    host, _, port = address.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > _PORT_MAX or not _is_host(host):
        raise InvalidInputError(
            f"{address!r} is not an address: write HOST:PORT, with [...] around an IPv6 address",
            reason="ADDRESS_INVALID",
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """The reverse of `split_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_wildcard(address: str) -> bool:
    """Whether the host part means every interface, which nobody else can dial."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def local_address(listen: str) -> str:
    """Where this machine itself reaches what listens on "host:port": over loopback where it listens everywhere."""
    if not is_wildcard(listen):
        return listen
    host, port = split_address(listen)
    return join_address("::1" if ":" in host else "127.0.0.1", port)


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            return ipaddress.IPv6Address(host[1:-1]).scope_id is None
        except ValueError:
            return False
    return bool(_HOST.fullmatch(host))
