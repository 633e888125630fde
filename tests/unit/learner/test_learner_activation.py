"""Socket activation with real processes, as systemd does it and as `weftmesh dev` imitates it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weftmesh.cli.dev_companions import ACTIVATOR
from weftmesh.learner.activation import Waiting, take_listeners

LEARNER = """
import os, sys, time
from weftmesh.learner.activation import Waiting, take_listeners
waiting = Waiting(take_listeners(os.environ))
time.sleep(0.1)
print("wanted", waiting.somebody_waits(), *[name for name in os.environ if name.startswith("LISTEN")], flush=True)
time.sleep(float(sys.argv[1]))
sys.exit(int(sys.argv[2]))
"""


class Activation:
    """An activator beside a process that stands for the node."""

    def __init__(self, directory: Path, *command: str) -> None:
        self.path = directory / "learner.sock"
        self.log = directory / "log"
        self.node = subprocess.Popen(["/bin/sleep", "60"])
        with self.log.open("wb") as log:
            self.activator = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", str(ACTIVATOR), "--node-pid", str(self.node.pid)),
                    *("--listen", str(self.path), "--", *command),
                ],
                stdout=log,
                stderr=log,
            )
        until(self.path.exists)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        until(lambda: connection.connect_ex(str(self.path)) == 0)
        return connection

    def said(self) -> list[str]:
        return self.log.read_text().splitlines()

    def end(self) -> None:
        self.node.kill()
        self.node.wait()
        self.activator.wait(10)


def until(met: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Wait for something to be so."""
    give_up_at_s = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < give_up_at_s, "not in time"
        time.sleep(0.02)


@pytest.fixture
def activate(tmp_path: Path) -> Iterator[Callable[..., Activation]]:
    running: list[Activation] = []

    def start(*command: str) -> Activation:
        running.append(Activation(tmp_path, *command))
        return running[-1]

    yield start
    for one in running:
        one.end()


def learner(run_s: float, code: int = 0) -> list[str]:
    return [sys.executable, "-c", LEARNER, str(run_s), str(code)]


def test_the_first_connection_starts_one_learner_and_it_takes_what_waits(activate: Callable[..., Activation]) -> None:
    activation = activate(*learner(0.5))
    assert activation.said() == []
    with activation.connect(), activation.connect():
        until(lambda: bool(activation.said()))
    time.sleep(0.7)
    assert activation.said() == ["wanted True"], "and what was about sockets is not in its environment any more"


def test_the_next_connection_starts_the_next_one(activate: Callable[..., Activation]) -> None:
    activation = activate(*learner(0))
    for _ in range(3):
        before = len(activation.said())
        with activation.connect():
            until(lambda before=before: len(activation.said()) == before + 1)  # type: ignore[misc]
        time.sleep(0.3)


def test_a_learner_that_fails_is_started_again_for_who_waits_and_not_for_ever(
    activate: Callable[..., Activation],
) -> None:
    activation = activate("/bin/sh", "-c", "echo failed; exit 1")
    with activation.connect():
        until(lambda: len(activation.said()) == 2)
        time.sleep(1.5)
    assert activation.said() == ["failed"] * 2


def test_the_learner_ends_with_the_node(activate: Callable[..., Activation]) -> None:
    activation = activate("/bin/sh", "-c", "echo $$; exec sleep 60")
    with activation.connect():
        until(lambda: bool(activation.said()))
    activation.end()
    pid = int(activation.said()[0])
    until(lambda: not Path(f"/proc/{pid}").exists())
    with socket.socket(socket.AF_UNIX) as connection, pytest.raises(ConnectionRefusedError):
        connection.connect(str(activation.path))


def test_a_node_that_is_gone_before_needs_nothing(tmp_path: Path) -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    command = [sys.executable, "-I", "-S", str(ACTIVATOR), "--node-pid", str(ended.pid), "--listen"]
    done = subprocess.run([*command, str(tmp_path / "learner.sock"), "--", "/bin/true"], timeout=10)
    assert done.returncode == 0


def test_sockets_that_were_meant_for_another_process_are_not_taken() -> None:
    environment = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "HOME": "/"}
    assert take_listeners(environment) == []
    assert environment == {"HOME": "/"}
    assert take_listeners({}) == []


def test_who_hangs_up_has_a_learner_and_who_stays_wants_one(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as early:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.setblocking(False)
        waiting = Waiting([listener])
        assert not waiting.somebody_waits()
        early.connect(str(tmp_path / "s"))
        assert waiting.somebody_waits()
        with socket.socket(socket.AF_UNIX) as late:
            late.connect(str(tmp_path / "s"))
            early.close()
            assert waiting.somebody_waits()
        assert not waiting.somebody_waits()
