"""What a forecast of the cycle time looks at: how the team was doing when the task was created, and the task's outside.

A feature is known the moment the task is created and needs no word of its text. The team's figures are ratios and
logarithms, so that a weight learned by many teams means the same to each.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import accumulate
from statistics import fmean, median
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import DAY_S, HOUR_S, TaskTimes

KINDS: Final = ("story", "bug", "improvement", "task", "epic", "new feature", "suggestion", "technical task")
"""Kinds of tasks that many trackers share; any other is told only by its own pace."""
FEATURES: Final = (
    *(f"kind: {kind}" for kind in KINDS),
    "pace of its kind",
    "recent cycle time",
    "recent spread of cycle times",
    "open tasks per resolution",
    "creations per resolution",
    "age of open tasks",
    "created just before it",
    "time since the one before",
    "age of the project",
    "title length",
    "description length",
    "has a description",
    "weekend",
    "end of the week",
    "working hours",
)
RECENT: Final = 30
"""How many of the newest resolved tasks stand for the team's present pace."""
WINDOW_S: Final = 30 * DAY_S
_HALF_TRUST: Final = 5
"""A kind's own pace counts half once so many of it were resolved."""


@dataclass(frozen=True, slots=True)
class BoardTask:
    """A task as a forecast of its finish sees it.

    Attributes:
        times: when it was created and, if it was, resolved.
        kind: the tracker's word, such as "Bug"; case does not matter.
        title_characters: length of the title.
        description_characters: length of the description, 0 without one.

    Raises:
        InvalidInputError: a length is negative.
    """

    times: TaskTimes
    kind: str
    title_characters: int
    description_characters: int

    def __post_init__(self) -> None:
        if min(self.title_characters, self.description_characters) < 0:
            raise InvalidInputError("a text has a negative length: give the number of its characters")


class TeamHistory:
    """Says what a team's board looked like at any moment, from what was known at that moment.

    Args:
        tasks: the team's tasks in any order; what happened after a moment asked about is not used for it.
        zone: the team's, for weekdays and working hours.
    """

    def __init__(self, tasks: Sequence[BoardTask], zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._created_s = sorted(task.times.created_s for task in tasks)
        self._created_sum_s = list(accumulate(self._created_s, initial=0.0))
        ends = sorted(
            (task.times.resolved_s, task.times.created_s, task.kind.casefold())
            for task in tasks
            if task.times.resolved_s is not None
        )
        self._team = _Pace()
        self._kinds: dict[str, _Pace] = {}
        for resolved_s, created_s, kind in ends:
            self._team.add(resolved_s, created_s)
            self._kinds.setdefault(kind, _Pace()).add(resolved_s, created_s)
        self._ended_created_sum_s = list(accumulate((created_s for _, created_s, _ in ends), initial=0.0))

    def features(self, task: BoardTask) -> tuple[float, ...]:
        """The row of FEATURES of a task, as of its creation; the task itself need not be in the history."""
        kind = task.kind.casefold()
        at_s = task.times.created_s
        return (
            *(float(kind == one) for one in KINDS),
            *self._paces(kind, at_s),
            *self._load(at_s),
            *self._neighbours(at_s),
            math.log1p(task.title_characters),
            math.log1p(task.description_characters),
            float(task.description_characters > 0),
            *self._week(at_s),
        )

    def _paces(self, kind: str, at_s: float) -> tuple[float, float, float]:
        """The kind's recent mean above the team's, the team's recent median and deviation, in logarithms of days."""
        recent = self._team.recent(at_s)
        if not recent:
            return 0.0, 0.0, 0.0
        mean = fmean(recent)
        own = self._kinds[kind].recent(at_s) if kind in self._kinds else []
        pace = (fmean(own) - mean) * len(own) / (len(own) + _HALF_TRUST) if own else 0.0
        return pace, median(recent), math.sqrt(fmean((one - mean) ** 2 for one in recent))

    def _load(self, at_s: float) -> tuple[float, float, float]:
        """Open tasks and creations per resolution of the last WINDOW_S, and the mean age of open tasks; logarithms."""
        created = bisect_left(self._created_s, at_s)
        ended = self._team.count(at_s)
        still_open = created - ended
        created_lately = created - bisect_left(self._created_s, at_s - WINDOW_S)
        ended_lately = ended - self._team.count(at_s - WINDOW_S)
        age_s = 0.0
        if still_open > 0:
            age_s = at_s - (self._created_sum_s[created] - self._ended_created_sum_s[ended]) / still_open
        return (
            math.log((still_open + 1) / (ended_lately + 1)),
            math.log((created_lately + 1) / (ended_lately + 1)),
            math.log1p(max(age_s, 0.0) / DAY_S),
        )

    def _neighbours(self, at_s: float) -> tuple[float, float, float]:
        """Creations in the hour before, hours since the newest one, years since the first; logarithms."""
        created = bisect_left(self._created_s, at_s)
        if created == 0:
            return 0.0, 0.0, 0.0
        beside = created - bisect_left(self._created_s, at_s - HOUR_S)
        since_s = at_s - self._created_s[created - 1]
        project_s = at_s - self._created_s[0]
        return math.log1p(beside), math.log1p(since_s / HOUR_S), math.log1p(project_s / (365 * DAY_S))

    def _week(self, at_s: float) -> tuple[float, float, float]:
        local = datetime.fromtimestamp(at_s, self._zone)
        weekday = local.weekday()
        return float(weekday >= 5), float(weekday in (3, 4)), float(8 <= local.hour < 18)


class _Pace:
    """Cycle times in the order of their ends."""

    def __init__(self) -> None:
        self._resolved_s: list[float] = []
        self._log_days: list[float] = []

    def add(self, resolved_s: float, created_s: float) -> None:
        """Takes them by rising `resolved_s`."""
        self._resolved_s.append(resolved_s)
        self._log_days.append(math.log((resolved_s - created_s + HOUR_S) / DAY_S))

    def count(self, at_s: float) -> int:
        return bisect_left(self._resolved_s, at_s)

    def recent(self, at_s: float) -> list[float]:
        end = self.count(at_s)
        return self._log_days[max(0, end - RECENT) : end]
