"""The standard streams and the arguments as the commands expect them, whatever started this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final

STANDARD: Final = (0, 1, 2)


def prepare_streams() -> None:
    """Let nothing that is printed fail for what the streams are.

    One that was closed leads to /dev/null: else the next file or socket took its number, which libuv aborts on. What a
    locale's encoding lacks is escaped.
    """
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def give_up_stdout() -> None:
    """Forget what was printed and not taken: the interpreter would try again at its end, and change the status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def first_that_is_no_text(arguments: Sequence[str]) -> str | None:
    """The first argument whose bytes are no text in this locale, which no message to the node can carry."""
    return next((one for one in arguments if any("\ud800" <= character <= "\udfff" for character in one)), None)
