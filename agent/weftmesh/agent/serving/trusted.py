"""Which local processes a node trusts as its own: those of root, of the daemon's user, and of its group."""

from __future__ import annotations

import grp
import os
import pwd
import time
from functools import lru_cache
from typing import Final

from weftmesh.agent.serving.local_socket import LocalCaller

USERS_MAX: Final = 256
"""Whose groups are remembered: to ask the system at every call may take a round trip to a directory server."""
GROUPS_FRESH_S: Final = 60.0
"""A user who is taken out of the group is trusted no longer within this time."""


def is_trusted(process: LocalCaller, group: str) -> bool:
    """Whether `process` belongs to root, to this daemon's user, or to a member of `group`."""
    if process.uid in (0, os.geteuid()):
        return True
    return _is_member(process.uid, process.gid, group, int(time.monotonic() // GROUPS_FRESH_S))


@lru_cache(maxsize=USERS_MAX)
def _is_member(uid: int, gid: int, group: str, _period: int) -> bool:
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:
        return False
    try:
        return wanted == gid or wanted in os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return False
