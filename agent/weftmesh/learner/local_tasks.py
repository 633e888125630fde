"""A node's own labels: done tasks and what they took, oldest first, as of a moment. They never leave the node."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from weftmesh.core.forecast.features import RawFeatures, raw_features
from weftmesh.learner.node import LabelledTask
from weftmesh.runtime.round_settings import RoundSettings

HELD_OUT_SHARE: Final = 0.2
"""The newest labels of a team are not trained on until newer ones come: they judge the model."""
LISTING_S: Final = 60.0
"""All rounds of one training read the tasks as of one moment; for so long a listing of them serves the next round."""


Place = tuple[float, str]
"""When a task was made, Unix seconds, and its name: many may be made at once."""


@dataclass(frozen=True, slots=True)
class Team:
    """The n labels of one project, oldest task first.

    Attributes:
        project_id: of the project.
        places: of each task in the order of time, rising.
        efforts: beside them, in the team's own scale.
        texts: beside them.
    """

    project_id: str
    places: tuple[Place, ...] = field(repr=False)
    efforts: tuple[float, ...] = field(repr=False)
    texts: tuple[RawFeatures, ...] = field(repr=False)

    def known_at(self, cut: Place) -> int:
        """How many of the tasks are not newer than `cut`."""
        return bisect_right(self.places, cut)

    def cut(self) -> Place:
        """The place of the newest task that is not held out."""
        trained = len(self.places) - round(HELD_OUT_SHARE * len(self.places))
        return self.places[max(trained - 1, 0)]


@dataclass(slots=True)
class _Listing:
    as_of_s: float
    read_at_s: float
    team: Team


class LocalTasks:
    """Reads projects, and keeps what their texts came to, so that a text is hashed once for each version of its task.

    Args:
        labelled: the labelled tasks of a project; see `Node.labelled_tasks`.
        clock: seconds that only go up.
    """

    def __init__(
        self, labelled: Callable[[str], Sequence[LabelledTask]], clock: Callable[[], float] = monotonic
    ) -> None:
        self._labelled = labelled
        self._clock = clock
        self._listings: dict[str, _Listing] = {}
        self._features: dict[str, dict[tuple[str, int], RawFeatures]] = {}

    def teams(self, projects: Sequence[str], settings: RoundSettings) -> list[Team]:
        """The projects that have enough labels.

        Args:
            projects: ids of those that this node trains on; others are forgotten.
            settings: `as_of_s` and `labels_min` count here.

        Raises:
            WeftmeshError: the node could not be asked.
        """
        for gone in set(self._features) - set(projects):
            self._features.pop(gone)
            self._listings.pop(gone, None)
        teams = [self._team(project_id, settings.as_of_s) for project_id in projects]
        return [team for team in teams if len(team.efforts) >= settings.labels_min]

    def _team(self, project_id: str, as_of_s: float) -> Team:
        known, now_s = self._listings.get(project_id), self._clock()
        if known is not None and as_of_s and known.as_of_s == as_of_s and now_s - known.read_at_s < LISTING_S:
            return known.team
        tasks = [task for task in self._labelled(project_id) if not as_of_s or task.updated_s <= as_of_s]
        tasks.sort(key=lambda task: (task.created_s, task.name))
        before = self._features.get(project_id, {})
        rows = {
            (task.name, task.version): before.get((task.name, task.version)) or raw_features(task.text)
            for task in tasks
        }
        self._features[project_id] = rows
        team = Team(
            project_id,
            tuple((task.created_s, task.name) for task in tasks),
            tuple(task.effort for task in tasks),
            tuple(rows.values()),
        )
        self._listings[project_id] = _Listing(as_of_s, now_s, team)
        return team
