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

PROBED_S = 20
NOTHING = Count(0, 0)


@pytest.mark.parametrize("stall_ms", [0, 150], ids=["calm", "busy"])
def test_counts_equal_those_of_the_log_however_busy_the_router_is(tmp_path: Path, stall_ms: int) -> None:
    if reason := missing():
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    with lab(PLANS, addresses=ADDRESSES) as made:
        path = tmp_path / "promises.yaml"
        path.write_text("---\n".join(promise.file(made) for promise in PROMISES))
        module = (sys.executable, "-m", "tests.netns.probing")
        said = json.loads(run(*made.inside, *module, "--for-s", str(PROBED_S), "--stall-ms", str(stall_ms), str(path)))
        made.unplug()
        probes = probed(made.captures, PING_TIMEOUT_MS, CONNECTION_TIMEOUT_MS)
        rows = []
        for promise in PROMISES:
            logged = promise.in_log(made).counts(probes, 0, said["until_ns"])
            for key in promise.keys:
                measured = Count(*said["counts"].get(f"{promise.name} {key}", (0, 0)))
                rows.append(Compared("", promise.name, key, measured, logged.get(key, NOTHING), key in promise.edge))
    by_key = {(one.agreement, one.objective): one for one in rows}
    assert by_key["web", "packet-loss"].logged.bad > 0
    assert by_key["web", "uptime"].logged.bad > 0
    assert not [one for one in rows if not one.kept], rows
