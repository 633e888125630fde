"""The moment as of which rounds read their contributors' tasks: one for all rounds of a training.

Sums over the tasks as of two moments differ by what was written in between. A coordinator that chose moments freely
could slide them past one task after another. So moments of one job are an hour apart at least, and a new one is not
from long ago.
"""

from __future__ import annotations

from typing import Final

GAP_S: Final = 3_600
"""From one moment of a job to the next, at least."""
AHEAD_S: Final = 300
"""By which a clock may be ahead of another one."""
BEHIND_S: Final = 86_400 + AHEAD_S
"""By which a moment may be behind the stamp of its round: stamps follow the clock that is ahead of all others, by a day
at most (`clock.MAX_DRIFT_MS`), and a proposal takes its time."""


def is_new_due(newest_s: int, now_s: float) -> bool:
    """Whether a job may take a new moment.

    Args:
        newest_s: its newest one, Unix seconds; 0 for none.
        now_s: Unix seconds.
    """
    return now_s >= newest_s + GAP_S


def latest(newest_s: int, now_s: float) -> int:
    """A new moment if one is due, else the newest one; see `is_new_due`."""
    return int(now_s) if is_new_due(newest_s, now_s) else newest_s


def objection(as_of_s: int, known_s: tuple[int, ...], newest_s: int, now_s: float) -> str:
    """Why a round must not read the tasks as of this moment, with what to do; empty when it may.

    Args:
        as_of_s: Unix seconds.
        known_s: moments that stay as they are, such as that of the base version; 0 for none.
        newest_s: the job's newest one; 0 for none.
        now_s: when it was asked for, Unix seconds.
    """
    if as_of_s <= 0:
        return f"{as_of_s} is no moment; send Unix seconds"
    if as_of_s in known_s:
        return ""
    if newest_s and not is_new_due(newest_s, as_of_s):
        return f"{as_of_s} is less than {GAP_S} s after {newest_s}, which this job has read tasks as of; send that one"
    if not now_s - BEHIND_S <= as_of_s <= now_s + AHEAD_S:
        return f"{as_of_s} is not of late, with {now_s:.0f} for the present; send that, or set the clocks of the nodes"
    return ""
