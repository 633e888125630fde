"""Schedules that exposed something, and are played for ever: most of them a planted fault, see `planted`."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.ports import MakeDisk
from tests.simulation.profiles import PROFILES
from tests.simulation.simulation import Result, Simulation

DRAWN = "drawn"


@dataclass(frozen=True)
class Regression:
    """One seed in one profile, or in the one that it draws."""

    seed: int
    profile: str
    exposed: str
    """Which fault it showed."""

    def play(self, make_disk: MakeDisk | None = None) -> Result:
        """Again."""
        named = (profile for profile in PROFILES if profile.name == self.profile)
        profile = None if self.profile == DRAWN else next(named)
        return Simulation(self.seed, profile=profile, make_disk=make_disk).run()


REGRESSIONS = (
    Regression(1, "deposing", "acknowledges before it is durable"),
    Regression(2, "fault-heavy", "a leader counts its own copy before it is durable"),
    Regression(7, "deposing", "term and vote are not synced"),
    Regression(1, "snapshot-heavy", "trims the log before the snapshot is durable"),
    Regression(20, "fault-heavy", "commits beyond what a message proves"),
    Regression(2, "partitions", "truncates without a conflict"),
    Regression(41, "deposing", "acknowledges its whole log, not what was proven"),
    Regression(3, "deposing", "accepts entries without looking at what precedes them"),
    Regression(2, "deposing", "votes without comparing the logs"),
    Regression(8, "crashy", "a snapshot says that it holds more than it does"),
    Regression(
        8144, DRAWN, "no fault: a frozen node leads an earlier term for a moment, without what was committed since"
    ),
    Regression(200492, DRAWN, "no fault: a machine that refuses to start loses its power again"),
)
