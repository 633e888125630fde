"""Comments and annotations of other trackers, kept at the end of a description where people see them.

::

    The text that was there.

    --- comments ---
    [2026-11-21T09:00:00Z] ann: the first line
      the next line of the same comment
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.core.board.model import Limits

_HEADING: Final = "--- comments ---"
_CONTINUATION: Final = "\n  "
_FIRST_LINE: Final = re.compile(r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\] (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Remark:
    """One comment.

    Attributes:
        at: ISO 8601 in UTC, to the second.
        text: who wrote it, where the tracker says so, and what.
    """

    at: str
    text: str

    def __str__(self) -> str:
        return f"[{self.at}] {self.text}".replace("\n", _CONTINUATION)


def joined(text: str, remarks: Iterable[Remark]) -> str:
    """A description that holds both."""
    lines = [str(remark) for remark in remarks]
    if not lines:
        return text
    section = "\n".join([_HEADING, *lines])
    return f"{text}\n\n{section}" if text else section


def joined_that_fit(text: str, remarks: Sequence[Remark]) -> tuple[str, int]:
    """A description that the board takes, and how many of the last remarks it has no room for."""
    room_bytes = Limits.DESCRIPTION_BYTES - len(text.encode()) - len(_HEADING) - 3
    count = 0
    for remark in remarks:
        room_bytes -= len(str(remark).encode()) + 1
        if room_bytes < 0:
            break
        count += 1
    return joined(text, remarks[:count]), len(remarks) - count


def split(description: str) -> tuple[str, list[Remark]]:
    """The inverse of `joined`; what is not exactly its work is all text.

    Remarks come back only if each is later than the one before, as trackers that name them by time demand.
    """
    before, heading, section = description.rpartition(_HEADING)
    if not heading or (before and not before.endswith("\n\n")):
        return description, []
    remarks: list[Remark] = []
    for block in re.split(r"\n(?! {2})", section.removeprefix("\n")):
        match = _FIRST_LINE.fullmatch(block.replace(_CONTINUATION, "\n"))
        if match is None or (remarks and match[1] <= remarks[-1].at) or not match[2]:
            return description, []
        remarks.append(Remark(match[1], match[2]))
    text = before.removesuffix("\n\n")
    return (text, remarks) if joined(text, remarks) == description else (description, [])
