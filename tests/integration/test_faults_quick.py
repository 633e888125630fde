"""One round each of three faults of `python -m tests.faults`, with all of its checks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.faults import crashes, disks, needs
from tests.faults.runner import Fault, run_fault
from tests.faults.site import Loopback

pytestmark = [pytest.mark.alone, pytest.mark.integration, pytest.mark.timeout(300)]

QUICK = (
    Fault("kill-leader", crashes.kill_leader, Loopback),
    Fault("pause-leader", crashes.pause_leader_shortly, Loopback, timeout_s=6.0),
    Fault("full-disk", disks.fill_disk, disks.SmallDisks, (needs.small_disk,)),
)


@pytest.mark.parametrize("fault", QUICK, ids=[fault.name for fault in QUICK])
async def test_every_promise_is_kept(fault: Fault, tmp_path: Path) -> None:
    if reason := fault.missing():
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    tally = await run_fault(fault, 1, seed=1, directory=tmp_path)
    assert not tally.violations, "\n".join(tally.violations)
    assert tally.rounds == 1
    assert tally.total.acknowledged > 10
    assert tally.total.reads > 10
