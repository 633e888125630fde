"""Boards for tests: bugs are done soon and stories late, each team at its own pace, the newest tasks still open."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from weftmesh.core.forecast.cycle_time import DAY_S, TaskTimes
from weftmesh.core.forecast.finish_features import BoardTask

NOW_S = 1_000 * DAY_S
DAYS = {"Bug": 1.0, "Story": 40.0}
"""Mean cycle times by kind."""


def board(seed: int, count: int = 60, pace: float = 1.0, over_days: float = 400.0) -> list[BoardTask]:
    """Tasks as the board knows them at NOW_S, in no order."""
    rng = random.Random(seed)
    tasks = []
    for _ in range(count):
        kind = rng.choice(tuple(DAYS))
        created_s = NOW_S - rng.uniform(0.0, over_days) * DAY_S
        resolved_s = created_s + rng.expovariate(1.0 / (pace * DAYS[kind])) * DAY_S
        times = TaskTimes(created_s, resolved_s).known_at(NOW_S)
        tasks.append(BoardTask(times, kind, rng.randint(5, 80), rng.choice((0, 300))))
    return tasks


class Board:
    """What a node says of its projects.

    Attributes:
        asked: which projects as of when, in the order of the questions.
    """

    def __init__(self, projects: Mapping[str, Sequence[BoardTask]]) -> None:
        self.projects = projects
        self.asked: list[tuple[str, float]] = []

    def tasks(self, project_id: str, as_of_s: float) -> list[BoardTask]:
        """Implements `teams.ReadTasks`."""
        self.asked.append((project_id, as_of_s))
        known = (task for task in self.projects[project_id] if task.times.created_s <= as_of_s)
        return [
            BoardTask(task.times.known_at(as_of_s), task.kind, task.title_characters, task.description_characters)
            for task in known
        ]
