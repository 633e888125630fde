"""A node's own teams as the finish-time training sees them: their tasks as of the round's moment, and their cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, time

from weftmesh.core.forecast.finish_features import BoardTask, TeamHistory
from weftmesh.learner.local_tasks import HELD_OUT_SHARE, LISTING_S
from weftmesh.runtime.round_settings import RoundSettings

ReadTasks = Callable[[str, float], Sequence[BoardTask]]
"""The tasks of a project as of a moment; see `Node.cycle_times`."""


@dataclass(frozen=True, slots=True)
class FinishTeam:
    """The tasks of one project, as of a moment.

    Attributes:
        project_id: of the project.
        as_of_s: the moment, Unix seconds.
        tasks: those that were created by then, oldest first.
        history: what the board looked like when each was created.
    """

    project_id: str
    as_of_s: float
    tasks: tuple[BoardTask, ...] = field(repr=False)
    history: TeamHistory = field(repr=False)

    @classmethod
    def of(cls, project_id: str, as_of_s: float, tasks: Sequence[BoardTask]) -> FinishTeam:
        """A team, without tasks that are dated later than the moment."""
        known = sorted((task for task in tasks if task.times.created_s <= as_of_s), key=_created_s)
        return cls(project_id, as_of_s, tuple(known), TeamHistory(known))

    def cut_s(self) -> float:
        """When the newest task that is not held out was created: training knows nothing of what came later."""
        trained = len(self.tasks) - round(HELD_OUT_SHARE * len(self.tasks))
        return self.tasks[max(trained - 1, 0)].times.created_s if self.tasks else 0.0

    def resolved_by(self, at_s: float) -> int:
        """How many tasks were resolved by then."""
        ends = (task.times.resolved_s for task in self.tasks)
        return sum(end_s is not None and end_s <= at_s for end_s in ends)


class FinishTeams:
    """Reads the teams, once for all rounds of a training.

    Args:
        read: asks the node.
        clock: seconds that only go up.
        now_s: Unix seconds.
    """

    def __init__(
        self, read: ReadTasks, clock: Callable[[], float] = monotonic, now_s: Callable[[], float] = time
    ) -> None:
        self._read = read
        self._clock = clock
        self._now_s = now_s
        self._listings: dict[str, tuple[float, FinishTeam]] = {}

    def teams(self, projects: Sequence[str], settings: RoundSettings) -> list[FinishTeam]:
        """The projects that have enough resolved tasks.

        Args:
            projects: ids of those that this node trains on; others are forgotten.
            settings: `as_of_s` and `labels_min` count here.

        Raises:
            WeftmeshError: the node could not be asked.
        """
        self._listings = {one: self._listings[one] for one in projects if one in self._listings}
        teams = [self._team(project_id, settings.as_of_s or self._now_s()) for project_id in projects]
        return [team for team in teams if team.resolved_by(team.cut_s()) >= settings.labels_min]

    def _team(self, project_id: str, as_of_s: float) -> FinishTeam:
        read_at_s, known = self._listings.get(project_id, (0.0, None))
        now_s = self._clock()
        if known is None or known.as_of_s != as_of_s or now_s - read_at_s >= LISTING_S:
            known = FinishTeam.of(project_id, as_of_s, self._read(project_id, as_of_s))
            self._listings[project_id] = (now_s, known)
        return known


def _created_s(task: BoardTask) -> float:
    return task.times.created_s
