"""Unix sockets that a process listens on."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

from weftmesh.core.errors import PreconditionError


def remove_dead_socket(path: Path, taken: str) -> None:
    """Remove what a process that was killed left.

    Args:
        path: of the socket.
        taken: says who listens there, and what to do.

    Raises:
        PreconditionError: somebody listens there, or it is no socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise PreconditionError(f"{path} is in the way and is not a socket; move it away")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            probe.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except BlockingIOError:
        pass  # somebody listens, and has many callers waiting
    raise PreconditionError(taken)
