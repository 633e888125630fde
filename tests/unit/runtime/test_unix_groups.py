"""The groups of a user, also while the directory that knows them takes its time."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from weftmesh.runtime.unix_groups import gids_of

SLOW = """
#include <grp.h>
#include <unistd.h>
int getgrouplist(const char *user, gid_t gid, gid_t *groups, int *count) {
    sleep(2);
    groups[0] = gid;
    *count = 1;
    return 1;
}
"""
ASKING = """
import threading, time
from weftmesh.agent.serving.accounts import account_of
asking = threading.Thread(target=lambda: (time.sleep(0.2), account_of(0, 0)))
asking.start()
turns = 0
while asking.is_alive():
    time.sleep(0.01)
    turns += 1
print(turns)
"""


@pytest.mark.parametrize("room", [1, 64])
def test_the_groups_are_those_that_the_system_has(room: int) -> None:
    for user in pwd.getpwall():
        for gid in (user.pw_gid, 4_000_000_123):
            assert sorted(gids_of(user.pw_name, gid, room)) == sorted(os.getgrouplist(user.pw_name, gid))


@pytest.mark.skipif(shutil.which("cc") is None, reason="a slow directory is made with a C compiler")
def test_other_threads_go_on_while_the_directory_takes_its_time(tmp_path: Path) -> None:
    source, library = tmp_path / "slow.c", tmp_path / "slow.so"
    source.write_text(SLOW)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True, timeout=60)
    ran = subprocess.run(
        [sys.executable, "-c", ASKING],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    # Of 200 turns some are lost to a busy machine; held up, there would be none in these two seconds.
    assert int(ran.stdout) > 50
