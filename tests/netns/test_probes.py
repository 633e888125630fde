"""What the router's probes count is what the wire's log says, with loss, delay and errors on the way."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from tests.faults.network import run
from tests.netns.comparison import Compared
from tests.netns.lab import lab, missing
from tests.netns.promises import ADDRESSES, CONNECTION_TIMEOUT_MS, PING_TIMEOUT_MS, PLANS, PROMISES
from tests.netns.recomputation import Count, probed

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]

PROBED_S = 15
STALL_MS = 150
"""Longer than what is left of a ping's time when its reply comes from the slowest backend."""
NOTHING = Count(0, 0)


def test_counts_equal_those_of_the_log_while_something_holds_the_loop_again_and_again(tmp_path: Path) -> None:
    if reason := missing():
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    with lab(PLANS, addresses=ADDRESSES) as made:
        path = tmp_path / "promises.yaml"
        path.write_text("---\n".join(promise.file(made) for promise in PROMISES))
        module = (sys.executable, "-m", "tests.netns.probing")
        said = json.loads(run(*made.inside, *module, "--for-s", str(PROBED_S), "--stall-ms", str(STALL_MS), str(path)))
        made.unplug()
        probes = probed(made.captures, PING_TIMEOUT_MS, CONNECTION_TIMEOUT_MS)
        rows = []
        for promise in PROMISES:
            logged = promise.in_log(made).counts(probes, 0, said["until_ns"])
            for key in promise.keys:
                measured = Count(*said["counts"].get(f"{promise.name} {key}", (0, 0)))
                rows.append(Compared("", promise.name, key, measured, logged.get(key, NOTHING), key in promise.edge))
    bad = {(one.agreement, one.objective): one.logged.bad for one in rows}
    assert bad["web", "packet-loss"] + bad["hosts", "uptime"] > 0
    assert bad["web", "uptime"] + bad["gate", "uptime"] > 0
    assert not [one for one in rows if not one.kept], rows
