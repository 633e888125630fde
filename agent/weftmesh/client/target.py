"""Where the node is, and the channel to it: its local socket, or its mesh port over TLS both ways."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from weftmesh.core.errors import ForbiddenError, InvalidInputError
from weftmesh.runtime.rpc import channel_options

SOCKET_ENV: Final = "WEFTMESH_SOCKET"
SOCKET_NAME: Final = "api.sock"
_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True)
class Identity:
    """Proves who the caller is to a mesh port, and says which node has to answer there.

    Attributes:
        directory: a node's DATA/identity.
        node: the name of the node that is called; its certificate must carry it.
    """

    directory: Path
    node: str


def default_target() -> str:
    """`WEFTMESH_SOCKET`, else the socket in the run_dir of the configuration (`WEFTMESH_CONFIG`, or /etc)."""
    if path := os.environ.get(SOCKET_ENV):
        return path
    from weftmesh.runtime.config import load_config

    return str(load_config(None, environment=os.environ).node.run_dir / SOCKET_NAME)


def is_local(target: str) -> bool:
    """Whether `target` is a local socket: `unix:PATH`, or a path."""
    return target.startswith((_UNIX, "/", ".")) or "/" in target


def somebody_listens(target: str) -> bool:
    """Whether a process listens on the local socket `target`; of a mesh port nothing is known, so no.

    Raises:
        ForbiddenError: this user may not open the socket.
    """
    if not is_local(target):
        return False
    path = target.removeprefix(_UNIX)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except BlockingIOError:
            return True  # it has many callers waiting
        except PermissionError as error:
            raise ForbiddenError(
                f"you may not open {path}: it is for the owner of the node and for its group ([mesh] group, which is "
                "weftmesh by default). As root: usermod --append --groups weftmesh USER; then log in anew",
                reason="SOCKET_FORBIDDEN",
            ) from error
        except OSError:
            return False
    return True


def open_channel(target: str, identity: Identity | None) -> grpc.aio.Channel:
    """A channel to the node at `target`; it connects when it is used.

    Raises:
        InvalidInputError: a mesh port without an identity: there is no insecure mode.
        PreconditionError: there is no identity in that directory.
    """
    if is_local(target):
        path = target.removeprefix(_UNIX)
        return grpc.aio.insecure_channel(_UNIX + path, options=channel_options())
    if identity is None:
        raise InvalidInputError(f"{target} is a mesh port: pass an Identity, or the path of a local socket")
    # A client of a local socket does without certificates, and without the 10 MiB that read them.
    from weftmesh.runtime.identity import credentials
    from weftmesh.runtime.identity.store import IdentityStore

    caller = credentials.NodeIdentity(IdentityStore(identity.directory).load())
    return credentials.open_channel(caller, identity.node, target)
