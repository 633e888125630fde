"""Which processes of this machine may write into the egress ledger."""

from __future__ import annotations

import grp
import os
import pwd
from functools import lru_cache
from typing import Final

from weftmesh.agent.serving.local_socket import LocalCaller, user_name
from weftmesh.core.errors import ForbiddenError

USERS_MAX: Final = 256
"""Whose groups are remembered: to ask the system at every call may take a round trip to a directory server."""


def check_recorder(process: LocalCaller, group: str) -> None:
    """Return if `process` belongs to root, to this daemon's user, or to a member of `group`.

    Raises:
        ForbiddenError: it does not.
    """
    if process.uid in (0, os.geteuid()) or _is_member(process.uid, process.gid, group):
        return
    raise ForbiddenError(
        f"{user_name(process.uid)} may not write into this node's egress ledger; processes of root and of the group "
        f"{group} may"
    )


@lru_cache(maxsize=USERS_MAX)
def _is_member(uid: int, gid: int, group: str) -> bool:
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:
        return False
    try:
        return wanted == gid or wanted in os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return False
