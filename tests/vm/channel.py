"""Commands to a virtual machine and their results: lines of JSON over a virtio port, answered by guest/commands.py."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

ANSWER_GRACE_S = 60.0
"""More than the command's own limit, for the machine to say so."""


class Channel:
    """The host's end.

    Args:
        path: the Unix socket of the port.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._received = b""
        self._last_id = 0

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def wait_for_boot(self, other_than: str, timeout_s: float) -> str:
        """Return the id of the boot that the machine reports, once it is another one.

        Raises:
            TimeoutError: it does not come up.
            ConnectionError: it ended.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found = self._next(deadline)
            if "boot" in found and found["boot"] != other_than:
                return str(found["boot"])

    def run(self, words: Sequence[str], stdin: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine.

        Raises:
            TimeoutError: the machine does not answer.
            ConnectionError: it ended.
        """
        self._last_id += 1
        asked = {"id": self._last_id, "words": list(words), "stdin": stdin, "timeout_s": timeout_s}
        self._socket.settimeout(ANSWER_GRACE_S)
        self._socket.sendall(json.dumps(asked).encode() + b"\n")
        deadline = time.monotonic() + timeout_s + ANSWER_GRACE_S
        while True:
            found = self._next(deadline)
            if found.get("id") == self._last_id:
                code, out, err = int(str(found["code"])), str(found["out"]), str(found["err"])
                return subprocess.CompletedProcess(words, code, out, err)

    def _next(self, deadline: float) -> dict[str, object]:
        while b"\n" not in self._received:
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            piece = self._socket.recv(65_536)
            if not piece:
                raise ConnectionError("the machine ended")
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, object] = json.loads(line)
        return message
