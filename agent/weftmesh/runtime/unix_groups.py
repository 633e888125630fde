"""The groups of a Unix user, asked so that other threads go on meanwhile.

`os.getgrouplist` keeps the interpreter's lock while a directory server takes its time, and with it the whole process.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

GROUPS_EXPECTED: Final = 64
"""Asked again with more room where a user has more."""
GROUPS_MAX: Final = 65_536
"""NGROUPS_MAX of Linux."""


def gids_of(user: str, gid: int, room: int = GROUPS_EXPECTED) -> tuple[int, ...]:
    """The ids of a user's groups, `gid` among them; blocks.

    Args:
        user: the login name.
        gid: of the user's process, or his primary group.
        room: for how many groups to ask at first.

    Raises:
        OSError: he has more than a process can have.
    """
    ask = ctypes.CDLL(None).getgrouplist
    while room <= GROUPS_MAX:
        found, count = (ctypes.c_uint32 * room)(), ctypes.c_int(room)
        if ask(os.fsencode(user), ctypes.c_uint32(gid), found, ctypes.byref(count)) >= 0:
            return tuple(found[: count.value])
        room = max(count.value, 2 * room)
    raise OSError(f"user {user} is in more than {GROUPS_MAX} groups")
