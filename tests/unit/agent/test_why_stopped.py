"""What the daemon says when the system refuses it something: the command belongs to how this machine runs nodes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from weftmesh.agent.raft.log.wal import WriteAheadLog
from weftmesh.agent.why_stopped import DISK_FAILED, NOT_PERMITTED, of_error, of_system_error
from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.config import DEFAULT_PATH
from weftmesh.runtime.units import NodeCommands

BY_HAND = NodeCommands(Path("/srv/mesh/weftmesh.toml"), has_unit=False)
BY_SYSTEMD = NodeCommands(DEFAULT_PATH, has_unit=True)
STATE, ELSEWHERE = Path("/var/lib/weftmesh"), Path("/data/weftmesh")


async def test_who_starts_a_node_twice_is_told_how_this_one_is_stopped(tmp_path: Path) -> None:
    failures: list[OSError] = []
    log = WriteAheadLog.open(tmp_path, fsync=False, on_failure=failures.append)
    with pytest.raises(PreconditionError) as caught:
        WriteAheadLog.open(tmp_path, fsync=False, on_failure=failures.append)
    log.close()
    assert "systemctl" not in of_error(caught.value, BY_HAND)
    assert "weftmeshd --config /srv/mesh/weftmesh.toml" in of_error(caught.value, BY_HAND)
    assert "systemctl stop weftmesh-agent.service" in of_error(caught.value, BY_SYSTEMD)


@pytest.mark.parametrize(
    ("number", "data_dir", "here", "reason", "advice"),
    [
        (errno.EROFS, ELSEWHERE, BY_SYSTEMD, NOT_PERMITTED, "ReadWritePaths=/data/weftmesh"),
        (errno.EROFS, STATE, BY_SYSTEMD, DISK_FAILED, "mend it"),
        (errno.EROFS, ELSEWHERE, BY_HAND, DISK_FAILED, "mend it"),
        (errno.ENOSPC, ELSEWHERE, BY_SYSTEMD, DISK_FAILED, "Make room"),
        (errno.EACCES, ELSEWHERE, BY_SYSTEMD, NOT_PERMITTED, "chown --recursive"),
        (errno.EACCES, ELSEWHERE, BY_HAND, NOT_PERMITTED, "weftmesh --config /srv/mesh/weftmesh.toml doctor"),
    ],
)
def test_what_the_system_refuses_is_explained(
    number: int, data_dir: Path, here: NodeCommands, reason: str, advice: str
) -> None:
    told = of_system_error(OSError(number, "refused", str(data_dir / "node.json")), data_dir, here)
    assert told is not None
    assert told[0] == reason
    assert advice in told[1]


def test_what_is_no_fault_of_disk_or_rights_is_not_explained_away() -> None:
    assert of_system_error(OSError(errno.EMFILE, "too many open files"), STATE, BY_SYSTEMD) is None
