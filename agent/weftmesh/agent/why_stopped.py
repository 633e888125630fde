"""Why the daemon ended, in words: what, where, and what mends it on this machine."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path
from typing import Final

from weftmesh.agent.raft.log.wal import IN_USE
from weftmesh.core.errors import WeftmeshError
from weftmesh.runtime.units import AGENT_UNIT, STATE_DIRECTORY, NodeCommands

DISK_FAILED: Final = "DISK_FAILED"
NOT_PERMITTED: Final = "NOT_PERMITTED"
_DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""What a full or failing disk says."""


def of_error(error: WeftmeshError, here: NodeCommands) -> str:
    """What a node says of an error of ours that it ends by."""
    return f"{error}: {here.stop}" if error.reason == IN_USE else str(error)


def of_system_error(error: OSError, data_dir: Path, here: NodeCommands) -> tuple[str, str] | None:
    """The reason as a word and in words for what the system refused; None where it is no fault of disk or rights."""
    if error.errno == errno.EROFS and here.has_unit and not data_dir.is_relative_to(STATE_DIRECTORY):
        return NOT_PERMITTED, (
            f"{error}: {AGENT_UNIT} lets the node write {STATE_DIRECTORY} alone. Mount the file system there, or "
            f"systemctl edit {AGENT_UNIT}, with [Service] and ReadWritePaths={data_dir}"
        )
    if error.errno in _DISK_ERRORS:
        return DISK_FAILED, (
            f"{error}: the disk that holds {data_dir} takes no more writes; nothing was acknowledged that is not on "
            "disk. Make room or mend it, then start the node again"
        )
    if isinstance(error, PermissionError) and error.filename is not None:
        return NOT_PERMITTED, (
            f"{error}: the node runs as {_user()}, who may not. Where {data_dir} was made by somebody else: "
            f"chown --recursive {_user()}: {data_dir}. {here.weftmesh('doctor')} looks for more"
        )
    return None


def _user() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
