"""What keeps a coordinator running beside a development node, with real processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weftmesh.cli.dev_companions import KEEPER

pytestmark = pytest.mark.timeout(60)

KEPT = """
import os, sys, time
print(os.getpid(), flush=True)
time.sleep(float(sys.argv[1]))
"""


class Kept:
    """A keeper beside a process that stands for the node."""

    def __init__(self, directory: Path, lasts_s: float) -> None:
        self.log = directory / "log"
        self.node = subprocess.Popen(["/bin/sleep", "60"])
        with self.log.open("wb") as log:
            words = [sys.executable, "-I", "-S", str(KEEPER), "--node-pid", str(self.node.pid), "--"]
            self.keeper = subprocess.Popen([*words, sys.executable, "-c", KEPT, str(lasts_s)], stdout=log, stderr=log)

    def pids(self) -> list[int]:
        """Of each start of the command."""
        return [int(line) for line in self.log.read_text().split()]

    def end(self) -> None:
        self.node.kill()
        self.node.wait()
        self.keeper.wait(15)


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[[float], Kept]]:
    running: list[Kept] = []

    def start(lasts_s: float) -> Kept:
        running.append(Kept(tmp_path, lasts_s))
        return running[-1]

    yield start
    for one in running:
        one.end()


def until(met: Callable[[], bool], timeout_s: float = 20.0) -> None:
    give_up_at_s = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < give_up_at_s, "not in time"
        time.sleep(0.02)


def test_what_ends_is_started_again(keep: Callable[[float], Kept]) -> None:
    kept = keep(0.0)
    until(lambda: len(kept.pids()) >= 2)
    assert len(set(kept.pids())) == len(kept.pids())


def test_it_ends_with_the_node_and_takes_its_process_along(keep: Callable[[float], Kept]) -> None:
    kept = keep(60.0)
    until(lambda: len(kept.pids()) == 1)
    kept.end()
    assert kept.keeper.returncode == 0
    assert not Path(f"/proc/{kept.pids()[0]}").exists()


def test_it_ends_when_it_is_told_to(keep: Callable[[float], Kept]) -> None:
    kept = keep(60.0)
    until(lambda: len(kept.pids()) == 1)
    kept.keeper.terminate()
    assert kept.keeper.wait(15) == 0
    assert not Path(f"/proc/{kept.pids()[0]}").exists()


def test_nothing_is_started_beside_a_node_that_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    mark = tmp_path / "mark"
    words = [sys.executable, "-I", "-S", str(KEEPER), "--node-pid", str(gone.pid), "--", "/bin/touch", str(mark)]
    assert subprocess.run(words, check=False).returncode == 0
    assert not mark.exists()
