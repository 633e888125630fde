"""A machine with a systemd of its own: a container over the root system, whose changes are kept apart."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.platform.control_group import ENTER, control_group
from tests.platform.root_system import PYTHON_IN_ROOT

BOOT_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
RUN_TIMEOUT_S = 120.0
STATE_TIMEOUT_S = 60.0
POLL_S = 0.1
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "NO_COLOR": "1"}
UP = {"running", "degraded"}
HALT = signal.SIGRTMIN + 4
"""systemd powers off."""


class Machine:
    """A container that boots when it is entered and is gone when it is left.

    Args:
        name: its host name.
        root: see root_system.
        directory: of this machine alone.
        python: what is bound to PYTHON_IN_ROOT.
        options: further ones for systemd-nspawn.
    """

    def __init__(self, name: str, root: Path, directory: Path, python: Path, *options: str) -> None:
        self.name = name
        self._root = root
        self._changes = directory / "changes"
        self._work = directory / "work"
        self.path = directory / "root"
        self._console = directory / "console"
        self._options = [f"--bind-ro={python}:{PYTHON_IN_ROOT}", *options]
        self._group: Path
        self._undone: ExitStack
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        for directory in (self._changes, self._work, self.path):
            directory.mkdir(parents=True)
        layers = f"lowerdir={self._root},upperdir={self._changes},workdir={self._work}"
        with ExitStack() as stack:
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.path)], check=True)
            stack.callback(subprocess.run, ["umount", str(self.path)], check=True)
            self._group = stack.enter_context(control_group(self.name))
            stack.callback(self.halt)
            self.boot()
            self._undone = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undone.close()

    def boot(self) -> None:
        """Start it, and return when systemd has started what it starts."""
        options = ["--quiet", "--register=no", "--keep-unit", "--boot", "--private-network", "--console=pipe"]
        words = [
            *ENTER,
            str(self._group),
            "systemd-nspawn",
            *options,
            "-M",
            self.name,
            "-D",
            str(self.path),
            *self._options,
        ]
        with self._console.open("ab") as console:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        self._wait(self._find_leader, "has no process of its own")
        self._wait(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in UP, "is not up")

    def run(
        self, *words: str, check: bool = True, stdin: str = "", timeout_s: float = RUN_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it.

        Raises:
            AssertionError: it failed and `check` is set.
        """
        result = subprocess.run(
            self.entered(*words),
            input=stdin,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
            timeout=timeout_s,
        )
        assert not check or result.returncode == 0, f"{words}: {result.returncode}\n{result.stderr}{result.stdout}"
        return result

    def entered(self, *words: str) -> list[str]:
        """A command as it is started from outside."""
        return ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", *words]

    def shown(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit."""
        listed = [word for name in properties for word in ("-p", name)]
        return dict(line.split("=", 1) for line in self.run("systemctl", "show", unit, *listed).stdout.splitlines())

    def pid_of(self, unit: str) -> int:
        """The main process of a unit, as numbered inside; never 0."""
        pid = int(self.shown(unit, "MainPID")["MainPID"])
        assert pid > 1, f"{unit} does not run"
        return pid

    def wait_until(self, unit: str, name: str, value: str, timeout_s: float = STATE_TIMEOUT_S) -> None:
        """Return when a property of a unit has a value."""
        try:
            self._wait(lambda: self.shown(unit, name)[name] == value, f"does not see {unit} {name}={value}", timeout_s)
        except AssertionError as error:
            error.add_note(self.run("journalctl", "--no-pager", "-n", "60", check=False).stdout)
            raise

    def journal(self, unit: str) -> str:
        """What a unit said."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def files(self) -> dict[str, str]:
        """Every path on its disk, with a digest of what is there; without times."""
        return {f"/{path.relative_to(self.path)}": _digest(path) for path in self.path.rglob("*")}

    def halt(self) -> None:
        """Power off, and wait until it is gone."""
        if self._process is None:
            return
        if self._leader and self._process.poll() is None:
            os.kill(self._leader, HALT)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._leader = 0

    def _find_leader(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._console.read_text(errors="replace")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        # The first child only makes the container, and is gone then.
        self._leader = next((int(pid) for pid in children if _is_first_of_its_own(pid)), 0)
        return self._leader > 1

    def _wait(self, done: Callable[[], bool], why: str, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"{self.name} {why}; its console:\n{self._console.read_text()[-3_000:]}"
            time.sleep(POLL_S)


def _is_first_of_its_own(pid: str) -> bool:
    """Whether a process is number 1 in a namespace of its own."""
    try:
        numbers = re.search(r"^NSpid:(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return False
    return numbers is not None and numbers[1].split()[1:] == ["1"]


def _digest(path: Path) -> str:
    status = path.lstat()
    facts = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
    if path.is_symlink():
        return f"{facts} -> {path.readlink()}"
    return f"{facts} {hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else facts
