"""What is configured in the lab comes out in a plain `ping`, the wire's log agrees, and nothing is left behind."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.faults.network import run
from tests.netns.lab import PREFIX, ROOT, Lab, Plan, lab, missing
from tests.netns.recomputation import MS_NS, probed

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]

PINGS = 300
QUIET = Plan("quiet", delay_us=10_000)
ROUGH = Plan("rough", delay_us=20_000, jitter_us=5_000, arriving_lost_permille=60, leaving_lost_permille=40)
_PING = re.compile(r"(\d+) packets transmitted, (\d+) received.*= ([\d.]+)/([\d.]+)/([\d.]+)/", re.DOTALL)


@pytest.fixture
def laid() -> Iterator[Lab]:
    reason = missing() or ("" if shutil.which("ping") else "there is no ping; tests/peers/install.sh installs it")
    if reason:
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    with lab([QUIET, ROUGH]) as made:
        yield made
    assert f"{PREFIX}{os.getpid()}" not in run("ip", "netns", "list") + run("ip", "-o", "link")


@dataclass(frozen=True)
class Pinged:
    """What `ping` says in the end."""

    sent: int
    received: int
    least_ms: float
    mean_ms: float
    most_ms: float


def ping(laid: Lab, name: str) -> Pinged:
    command = ("ping", "-q", "-c", str(PINGS), "-i", "0.005", "-W", "1", laid.backends[name].addresses[0])
    said = _PING.search(run(*laid.inside, *command, check=False))
    assert said is not None
    return Pinged(int(said[1]), int(said[2]), *(float(said[number]) for number in (3, 4, 5)))


def test_delay_and_loss_are_as_configured_and_the_log_agrees(laid: Lab) -> None:
    pinged = {plan.name: ping(laid, plan.name) for plan in (QUIET, ROUGH)}
    laid.unplug()
    assert pinged["quiet"].received == PINGS
    assert 20 <= pinged["quiet"].least_ms <= 22
    assert 40 <= pinged["rough"].least_ms <= 52
    assert pinged["rough"].mean_ms >= 44
    lost = 1 - 0.94 * 0.96
    spread = 4 * math.sqrt(PINGS * lost * (1 - lost))
    assert abs(PINGS - pinged["rough"].received - PINGS * lost) <= spread
    for name, said in pinged.items():
        one = laid.backends[name]
        took_ms = [ping.took_ns / MS_NS for ping in probed({one.capture: one.source}, 1_000, 1_000) if ping.took_ns]
        assert len(took_ms) == said.received
        assert min(took_ms) == pytest.approx(said.least_ms, rel=0.01, abs=0.2)
        # On a busy machine `ping` itself waits for the processor, which the wire's log knows nothing of.
        assert sum(took_ms) / len(took_ms) <= said.mean_ms + 0.2


def test_each_link_has_a_log_of_its_own(laid: Lab) -> None:
    ends = [(one.near, one.source, one.addresses) for one in laid.backends.values()]
    assert len(set(ends)) == len(ends)
    ping(laid, "quiet")
    laid.unplug()
    found = {
        address
        for path, client in laid.captures.items()
        for address in [one.address for one in probed({path: client}, 1_000, 1_000)]
    }
    assert found == set(laid.backends["quiet"].addresses)


KILLED = """
from tests.netns.lab import Plan, lab
with lab([Plan("one", delay_us=1_000)]):
    print("ready", flush=True)
    input()
"""


def test_a_run_that_was_killed_leaves_nothing_for_long() -> None:
    if reason := missing():
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    command = (sys.executable, "-c", KILLED)
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "ready\n"
        victim.kill()
    name = f"{PREFIX}{victim.pid}"
    while name in run("ip", "-n", f"{name}p", "-o", "link"):  # the wire ends by itself, and its devices with it
        time.sleep(0.05)
    with lab([QUIET]):
        assert name not in run("ip", "netns", "list")
