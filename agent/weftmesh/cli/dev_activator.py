"""Imitates systemd's socket activation for one node of a development mesh: the first connection starts the learner.

A process of its own, because the node may not start others and `weftmesh dev` does not stay. It is run by its path with
the standard library alone, which takes 0.07 s of a core and 13 MiB; keep it so.
"""

import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

LISTEN_DESCRIPTOR = 3
"""Where systemd puts the first socket that it passes on."""
BACKLOG = 16
STOP_TIMEOUT_S = 5.0
RESTART_PAUSE_S = 1.0
"""After a learner failed."""
LAUNCH = 'export LISTEN_PID=$$; exec "$@"'
"""The variable has to hold the learner's own process id, which is known once there is a process."""


class Activator:
    """Listens, and runs one learner at a time.

    Args:
        node_pid: of the node; when its process ends, all of this does.
        path: of the socket to listen on.
        command: of the learner.
    """

    def __init__(self, node_pid: int, path: Path, command: list[str]) -> None:
        self._listener = _listen(path)  # first: it takes the descriptor that systemd would give it
        self._node = os.pidfd_open(node_pid)
        self._command = command
        self._learner: subprocess.Popen[bytes] | None = None
        self._wake, self._waker = os.pipe()

    def run(self) -> None:
        """Return when the node is gone, or after SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        try:
            while self._wait():
                pass
        finally:
            self._end_learner()

    def _wait(self) -> bool:
        """One event; False when this is over."""
        watched = [self._node, self._wake]
        learner = None
        if self._learner is None:
            watched.append(self._listener.fileno())
        else:
            learner = os.pidfd_open(self._learner.pid)
            watched.append(learner)
        try:
            ready, _, _ = select.select(watched, [], [])
        finally:
            if learner is not None:
                os.close(learner)
        if self._node in ready or self._wake in ready:
            return False
        if self._learner is None:
            self._start()
            return True
        failed = self._learner.wait() != 0
        self._learner = None
        if failed:
            time.sleep(RESTART_PAUSE_S)
            if self._somebody_waits():
                self._start()
        return True

    def _somebody_waits(self) -> bool:
        """Accept what a failed learner has left; whether one of those who connected is still there."""
        waits = False
        self._listener.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                with self._listener.accept()[0] as connection:
                    waits = _is_open(connection) or waits
        return waits

    def _start(self) -> None:
        self._learner = subprocess.Popen(  # noqa: S603, what `weftmesh dev` passed
            ["/bin/sh", "-c", LAUNCH, "sh", *self._command],
            stdin=subprocess.DEVNULL,
            pass_fds=(LISTEN_DESCRIPTOR,),
            env={**os.environ, "LISTEN_FDS": "1"},
        )

    def _end_learner(self) -> None:
        if self._learner is None:
            return
        self._learner.terminate()
        try:
            self._learner.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._learner.kill()
            self._learner.wait()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        os.write(self._waker, b"x")


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(BACKLOG)
    if listener.fileno() != LISTEN_DESCRIPTOR:
        os.dup2(listener.fileno(), LISTEN_DESCRIPTOR, inheritable=False)
        listener.close()
        listener = socket.socket(fileno=LISTEN_DESCRIPTOR)
    return listener


def _is_open(connection: socket.socket) -> bool:
    """Whether the other end, which says nothing, has not hung up."""
    try:
        return connection.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True


def main() -> None:
    """Run for as long as the node does."""
    parser = argparse.ArgumentParser(description="Starts a development node's learner when somebody connects.")
    parser.add_argument("--node-pid", type=int, required=True)
    parser.add_argument("--listen", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    found = parser.parse_args()
    try:
        Activator(found.node_pid, found.listen, found.command).run()
    except ProcessLookupError:
        sys.exit(0)  # the node was gone before this had begun


if __name__ == "__main__":
    main()
