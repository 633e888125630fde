"""Who a caller is to bindings: the names it goes by, and the users that are never strangers on their own node.

Unix groups are asked of the system, which may ask a directory server; the answer is used for `GROUPS_FRESH_S`.
"""

from __future__ import annotations

import grp
import os
import pwd
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from weftmesh.agent.access.permissions import BACKUP_ACCOUNT
from weftmesh.agent.serving.callers import Caller
from weftmesh.core.access.roles import Role
from weftmesh.core.access.subjects import SubjectKind, account_subjects

GROUPS_FRESH_S: Final = 60.0
"""A user who is taken out of a Unix group loses what the group may do within this time."""
CALLERS_MAX: Final = 1_024

SERVICE_ACCOUNTS: Final[Mapping[str, Role]] = MappingProxyType(
    {"weftmesh-coordinator": Role.EDITOR, "weftmesh-learner": Role.VIEWER, BACKUP_ACCOUNT: Role.VIEWER}
)
"""The users that the packages make for processes beside the node, and what each is on the mesh."""
SERVING_ACCOUNTS: Final = frozenset({"weftmesh-coordinator", "weftmesh-learner"})
"""Those that act as the node's own processes."""


class Identities:
    """The names of callers.

    Args:
        node: this node's.
        now_s: a clock that only goes forward.
    """

    def __init__(self, node: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._now_s = now_s
        self._known: dict[tuple[int, int], tuple[float, tuple[str, ...]]] = {}

    def subjects(self, caller: Caller) -> tuple[str, ...]:
        """Every line that a binding may name `caller` by."""
        if caller.node:
            return (f"{SubjectKind.NODE}:{caller.node}",)
        key, now_s = (caller.uid, caller.gid), self._now_s()
        known = self._known.get(key)
        if known is not None and now_s < known[0]:
            return known[1]
        if len(self._known) >= CALLERS_MAX:
            self._known.clear()
        found = self.subjects_of_user(caller.user, caller.gid)
        self._known[key] = (now_s + GROUPS_FRESH_S, found)
        return found

    def subjects_of_user(self, user: str, gid: int | None = None) -> tuple[str, ...]:
        """The same of a user of this node who does not call.

        Args:
            user: the login name.
            gid: the primary group of the process that calls; None for the user's own.
        """
        lines = [*account_subjects(SubjectKind.USER, user, self._node)]
        for group in group_names(user, gid):
            lines += account_subjects(SubjectKind.GROUP, group, self._node)
        return tuple(lines)


def group_names(user: str, gid: int | None = None) -> list[str]:
    """The Unix groups of a user, as this machine knows them; none for a user that it does not know."""
    try:
        account = pwd.getpwnam(user)
        numbers = os.getgrouplist(user, account.pw_gid if gid is None else gid)
    except (KeyError, OSError):
        numbers = [] if gid is None else [gid]
    names = []
    for number in dict.fromkeys(numbers):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return names


def is_break_glass(caller: Caller) -> bool:
    """Whether it is root of this node, or the user that the daemon runs as: both can read its files anyway."""
    return not caller.node and caller.uid in (0, os.geteuid())
