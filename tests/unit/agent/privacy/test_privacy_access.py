from __future__ import annotations

import grp
import os
import pwd

import pytest

from weftmesh.agent.privacy.access import check_recorder
from weftmesh.agent.serving.local_socket import LocalCaller
from weftmesh.core.errors import ForbiddenError

NOBODYS_ID = 2_000_000_123


def process(uid: int, gid: int) -> LocalCaller:
    return LocalCaller(uid=uid, gid=gid, pid=1)


def test_root_and_the_daemon_s_own_user_may_record() -> None:
    check_recorder(process(0, NOBODYS_ID), "no-such-group")
    check_recorder(process(os.geteuid(), NOBODYS_ID), "no-such-group")


def test_a_process_of_the_group_may_record() -> None:
    group = grp.getgrall()[-1]
    check_recorder(process(NOBODYS_ID, group.gr_gid), group.gr_name)


def test_a_member_of_the_group_may_record_whatever_its_own_group() -> None:
    user = next(one for one in pwd.getpwall() if one.pw_uid not in (0, os.geteuid()))
    group = grp.getgrgid(user.pw_gid).gr_name
    check_recorder(process(user.pw_uid, user.pw_gid), group)


@pytest.mark.parametrize("group", ["no-such-group", grp.getgrgid(0).gr_name])
def test_anybody_else_may_not_and_is_told_who_may(group: str) -> None:
    with pytest.raises(ForbiddenError, match=f"of root and of the group {group}"):
        check_recorder(process(NOBODYS_ID, NOBODYS_ID), group)
