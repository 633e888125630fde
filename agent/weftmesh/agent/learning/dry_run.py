"""DryRun: what would leave this node in a round, shown to whoever is on this node; nothing leaves."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, Protocol

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.learning.effort_forecasts import label_of, text_of
from weftmesh.agent.learning.finish_forecasts import progress_of
from weftmesh.agent.learning.finish_rows import TASKS_NEWEST, board_task
from weftmesh.agent.learning.reading import Reading
from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.learning.round_sizes import EFFORT, FINISH, round_sizes
from weftmesh.agent.learning.served_model import ServedModel, spec_of
from weftmesh.agent.learning.team_cache import relevant_tasks
from weftmesh.agent.learning.training_projects import TrainingProjects
from weftmesh.core.board.model import Task
from weftmesh.core.errors import NotFoundError, WeftmeshError
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import BUCKETS, DocumentCounts, hashed, raw_features, terms
from weftmesh.core.forecast.finish_features import FEATURES, TeamHistory
from weftmesh.core.forecast.text import SHAPE_NAMES
from weftmesh.core.learning.model import Limits
from weftmesh.learning.v1 import learning_pb2

TASKS_MAX: Final = 100_000
"""Labelled tasks of a project that are counted."""
MEMBER_NAME: Final = "contributor-{}"
"""Stands for those that are missing for the smallest round."""


class Head(Protocol):
    """What a dry run has to know of a kind of forecast."""

    columns: tuple[str, ...]

    def label(self, task: Task) -> object:
        """What is learned from a task; None for nothing."""

    async def show(self, tasks: list[Task], report: learning_pb2.DryRunReport) -> None:
        """Put the row of the newest of one project's labelled tasks into the report."""


class EffortHead:
    """Words and shapes of texts; implements Head."""

    columns = (
        f"0-{BUCKETS - 1}: words and pairs of neighbouring words, hashed with a sign, weighted by how rare they are",
        *(f"{BUCKETS + place}: {name}" for place, name in enumerate(SHAPE_NAMES)),
    )

    def __init__(self, model: ServedModel[EffortModel]) -> None:
        self._model = model

    def label(self, task: Task) -> object:
        """Its estimate."""
        return label_of(task)

    async def show(self, tasks: list[Task], report: learning_pb2.DryRunReport) -> None:
        """The row as training makes it; before the first model, every word weighs the same."""
        text = text_of(tasks[-1])
        raw = raw_features(text)
        try:
            statistics = (await self._model.current()).model.statistics
        except WeftmeshError:
            statistics = DocumentCounts.of([raw]).statistics()
        row = statistics.weigh(raw)
        words: dict[int, list[str]] = defaultdict(list)
        for term in terms(text):
            words[hashed(term)[0]].append(term)
        report.example_key = tasks[-1].key
        for index, value in zip(row.indices, row.values, strict=True):
            name = SHAPE_NAMES[index - BUCKETS] if index >= BUCKETS else ", ".join(sorted(words[index]))
            _add(report, index, name, value)


class FinishHead:
    """Facts about a task and its board when it was created; implements Head."""

    columns = tuple(f"{place}: {name}" for place, name in enumerate(FEATURES))

    def label(self, task: Task) -> object:
        """Its cycle time, when somebody saw it."""
        row = board_task(task) if progress_of(task) else None
        return None if row is None else row.times.resolved_s

    async def show(self, tasks: list[Task], report: learning_pb2.DryRunReport) -> None:
        """The row before it is standardised, from the finished tasks alone."""
        report.example_key = tasks[-1].key
        for index, value in enumerate(await asyncio.to_thread(_newest_row, tasks[-TASKS_NEWEST:])):
            _add(report, index, FEATURES[index], value)


class DryRuns:
    """Says what training would read and send, without it."""

    def __init__(
        self,
        node: str,
        homes: Homes,
        replica: Replica,
        reading: Reading,
        projects: TrainingProjects,
        effort: ServedModel[EffortModel],
    ) -> None:
        self._node = node
        self._homes = homes
        self._replica = replica
        self._reading = reading
        self._projects = projects
        self._heads: Mapping[str, Head] = {EFFORT: EffortHead(effort), FINISH: FinishHead()}

    async def run(self, request: learning_pb2.DryRunRequest) -> learning_pb2.DryRunReport:
        """The report of a job, or of one that is not defined yet and has the name of what it would forecast.

        Raises:
            NotFoundError: there is no such job, or this release does not train what it is for.
        """
        job = self._replica.learning.job(request.job)
        name = request.job if job is None else spec_of(job).head
        head = self._heads.get(name)
        if head is None:
            raise NotFoundError(
                f"there is no job {request.job!r} that this release trains; see `weftmesh learn status`, or ask for "
                f"{' or '.join(self._heads)}"
            )
        report = learning_pb2.DryRunReport(job=request.job, columns=head.columns)
        await self._read(head, report)
        contributors = self._contributors(
            request.job, Limits.CONTRIBUTORS_FLOOR if job is None else job.contributors_floor
        )
        report.contributors = len(contributors)
        report.sizes.extend(round_sizes(name, self._node, contributors))
        return report

    async def _read(self, head: Head, report: learning_pb2.DryRunReport) -> None:
        """Count labelled tasks, and show one of the first project that has any."""
        for project_id in self._projects.ids(report.job):
            board = self._homes.of_project(project_id).board
            tasks = await relevant_tasks(board, project_id, head.label, TASKS_MAX)
            report.projects.add(project_id=project_id, labelled_tasks=len(tasks))
            if tasks and not report.example_key:
                await head.show(tasks, report)

    def _contributors(self, job: str, floor: int) -> list[str]:
        """Who would be asked now, with this node, and as many more as the smallest round needs."""
        names = {self._node, *self._reading.contributors(job)}
        names |= {MEMBER_NAME.format(number) for number in range(len(names), floor)}
        return sorted(names)


def _newest_row(tasks: list[Task]) -> tuple[float, ...]:
    rows = [row for task in tasks if (row := board_task(task)) is not None]
    return TeamHistory(rows).features(rows[-1])


def _add(report: learning_pb2.DryRunReport, index: int, name: str, value: float) -> None:
    report.example_indices.append(index)
    report.example_values.append(value)
    report.example_words.add(words=name, weight=value)
