"""Which local processes a node trusts as its own: those of root, of the daemon's user, and of its group."""

from __future__ import annotations

import grp
import os
from functools import lru_cache

from weftmesh.agent.serving.accounts import ACCOUNTS
from weftmesh.agent.serving.local_socket import LocalCaller


def is_trusted(process: LocalCaller, group: str) -> bool:
    """Whether `process` belongs to root, to this daemon's user, or to a member of `group`.

    Raises:
        OverloadedError: the system does not say who that is.
    """
    if process.uid in (0, os.geteuid()):
        return True
    try:
        wanted = _gid_of(group)
    except KeyError:
        return False
    return wanted == process.gid or wanted in ACCOUNTS.of(process.uid, process.gid).gids


@lru_cache
def _gid_of(group: str) -> int:
    """Asked once: it is the group that the local socket was given to when the node started."""
    return grp.getgrnam(group).gr_gid
