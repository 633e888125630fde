"""Local sockets of the router: whoever may write to the file may talk to the server."""

from __future__ import annotations

import grp
import os
from pathlib import Path
from typing import Final

import grpc

from weftmesh.core.errors import ConfigError
from weftmesh.runtime.local_sockets import remove_dead_socket

SOCKET_MODE: Final = 0o660


def bind(server: grpc.aio.Server, path: Path, group: str) -> None:
    """Let a server that is not started yet listen on a socket.

    Args:
        server: without TLS on this socket.
        path: of the socket; what a process that was killed left there is removed.
        group: its owner group; empty leaves the process's own.

    Raises:
        PreconditionError: another process listens there, or something that is no socket is in the way.
        ConfigError: the socket cannot be made, or the group cannot be given.
    """
    remove_dead_socket(path, f"another router listens on {path}; end that one, or give this one another --listen")
    before = os.umask(0o177)  # nobody else gets in before the group and the mode are set
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise ConfigError(f"cannot make the socket {path}: {error}; check its directory and length") from error
    finally:
        os.umask(before)
    _give_to_group(path, group)


def _give_to_group(path: Path, group: str) -> None:
    try:
        if group:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(SOCKET_MODE)
    except (KeyError, OSError) as error:
        raise ConfigError(
            f"cannot give the socket {path} to group {group}: {error}; make the group, or set [mesh] group to one that"
            " is there"
        ) from error
