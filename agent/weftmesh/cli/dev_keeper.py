"""Imitates a systemd service for one node of a development mesh: its coordinator runs for as long as the node does.

A process of its own, because the node may not start others and `weftmesh dev` does not stay. It is run by its path with
the standard library alone, like `dev_activator`; keep it so.
"""

import argparse
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

STOP_TIMEOUT_S = 5.0
RESTART_PAUSE_S = 1.0
RESTART_PAUSE_MAX_S = 30.0
"""Pauses double while the process ends soon after each start."""
SOUND_S = 60.0
"""After so long, an end is not the last one's fault."""


class Keeper:
    """Runs one command again and again.

    Args:
        node_pid: of the node; when its process ends, so does the command's.
        command: what to run.
    """

    def __init__(self, node_pid: int, command: list[str]) -> None:
        self._node = os.pidfd_open(node_pid)
        self._command = command
        self._wake, self._waker = os.pipe()

    def run(self) -> None:
        """Return when the node is gone, or after SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        pause_s = 0.0
        while not self._is_over(pause_s):
            started_s = time.monotonic()
            self._run_once()
            is_sound = time.monotonic() - started_s >= SOUND_S
            pause_s = RESTART_PAUSE_S if is_sound or not pause_s else min(2 * pause_s, RESTART_PAUSE_MAX_S)

    def _run_once(self) -> None:
        """Return when the process has ended; it is ended when this is over."""
        process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)  # noqa: S603, what `weftmesh dev` passed
        ended = os.pidfd_open(process.pid)
        try:
            select.select([self._node, self._wake, ended], [], [])
        finally:
            os.close(ended)
            _end(process)

    def _is_over(self, timeout_s: float) -> bool:
        """Whether the node is gone or this was told to stop, now or within the time."""
        return bool(select.select([self._node, self._wake], [], [], timeout_s)[0])

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        os.write(self._waker, b"x")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """Run for as long as the node does."""
    parser = argparse.ArgumentParser(description="Keeps a development node's coordinator running.")
    parser.add_argument("--node-pid", type=int, required=True)
    parser.add_argument("command", nargs="+")
    found = parser.parse_args()
    try:
        Keeper(found.node_pid, found.command).run()
    except ProcessLookupError:
        sys.exit(0)  # the node was gone before this had begun


if __name__ == "__main__":
    main()
