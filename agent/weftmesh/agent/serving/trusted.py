"""Which local processes a node trusts as its own: those of root, of the daemon's user, and of its group."""

from __future__ import annotations

import grp
import os
import pwd
from functools import lru_cache
from typing import Final

from weftmesh.agent.serving.local_socket import LocalCaller

USERS_MAX: Final = 256
"""Whose groups are remembered: to ask the system at every call may take a round trip to a directory server."""


def is_trusted(process: LocalCaller, group: str) -> bool:
    """Whether `process` belongs to root, to this daemon's user, or to a member of `group`."""
    return process.uid in (0, os.geteuid()) or _is_member(process.uid, process.gid, group)


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
