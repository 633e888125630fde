"""Who a caller is to bindings: the names it goes by, and the users that are never strangers on their own node."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from weftmesh.agent.access.permissions import BACKUP_ACCOUNT
from weftmesh.agent.serving.accounts import ACCOUNTS, Accounts, account_of
from weftmesh.agent.serving.callers import Caller
from weftmesh.core.access.roles import Role
from weftmesh.core.access.subjects import SubjectKind, account_subjects

GROUPS_FRESH_S: Final = 60.0
"""A user who is taken out of a Unix group loses what the group may do within this time, if the system says so."""

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
        accounts: what the system says of its users.
    """

    def __init__(self, node: str, accounts: Accounts = ACCOUNTS) -> None:
        self._node = node
        self._accounts = accounts

    def subjects(self, caller: Caller) -> tuple[str, ...]:
        """Every line that a binding may name `caller` by.

        Raises:
            OverloadedError: the system does not say who a local caller is.
        """
        if caller.node:
            return (f"{SubjectKind.NODE}:{caller.node}",)
        return self._lines(caller.user, self._accounts.of(caller.uid, caller.gid).groups)

    async def subjects_of_user(self, user: str) -> tuple[str, ...]:
        """The same of a user of this node who need not call.

        Raises:
            OverloadedError: the system does not answer.
        """
        return self._lines(user, await self._accounts.answer(partial(groups_of_user, user)))

    async def is_known(self, kind: SubjectKind, name: str) -> bool:
        """Whether the system of this node knows a user or a group.

        Raises:
            OverloadedError: the system does not answer.
        """
        return await self._accounts.answer(partial(_is_known, kind, name))

    def _lines(self, user: str, groups: Iterable[str]) -> tuple[str, ...]:
        lines = [*account_subjects(SubjectKind.USER, user, self._node)]
        for group in groups:
            lines += account_subjects(SubjectKind.GROUP, group, self._node)
        return tuple(lines)


def groups_of_user(user: str) -> tuple[str, ...]:
    """The Unix groups of a user, as this machine knows them; none for a user that it does not know. Blocks."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return ()
    return account_of(account.pw_uid, account.pw_gid).groups


def _is_known(kind: SubjectKind, name: str) -> bool:
    try:
        if kind is SubjectKind.USER:
            pwd.getpwnam(name)
        else:
            grp.getgrnam(name)
    except KeyError:
        return False
    return True


def is_break_glass(caller: Caller) -> bool:
    """Whether it is root of this node, or the user that the daemon runs as: both can read its files anyway."""
    return not caller.node and caller.uid in (0, os.geteuid())
