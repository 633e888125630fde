"""A shell in a machine as a person at a terminal has it: keys go in, what the screen got comes out."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Sequence

from tests.platform.machine import ENVIRONMENT, Machine

ANSWER_TIMEOUT_S = 60.0
READ_BYTES = 4096


class Terminal:
    """A program of a machine behind a pseudo-terminal; ends with it."""

    def __init__(self, machine: Machine, words: Sequence[str]) -> None:
        self._screen = ""
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *machine.entered(*words)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=ENVIRONMENT | {"TERM": "dumb"},
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ours)  # the program gets a SIGHUP
        self._process.kill()
        self._process.wait()

    def type(self, keys: str, until: str) -> str:
        """Send keys, and return what came since, once `until` is in it.

        Raises:
            AssertionError: it did not come.
        """
        self._screen = ""
        os.write(self._ours, keys.encode())
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while until not in self._screen:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{until!r} did not come; the screen has {self._screen!r}"
            self._screen += os.read(self._ours, READ_BYTES).decode(errors="replace")
        return self._screen
