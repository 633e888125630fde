"""A training of the finish head as rounds make it: each team a node with the learner's trainer, the coordinator's head.

What nodes contribute is added up as fixed-point words, as secure aggregation adds it up, but without its masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from benchmarks.finish_time.export import Team
from weftmesh.coordinator.heads import HEADS
from weftmesh.core.errors import PreconditionError
from weftmesh.core.forecast.finish_averaging import ROUNDS
from weftmesh.core.forecast.finish_bytes import decode_model
from weftmesh.core.forecast.finish_features import BoardTask
from weftmesh.core.forecast.finish_model import FinishModel
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.finish.teams import FinishTeams
from weftmesh.learner.finish.trainer import HEAD, FinishTrainer
from weftmesh.learner.team_file import TeamFile
from weftmesh.learner.trainer import BASELINE_LOSS, MODEL_LOSS
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.masking import ContributionLayout, Reals, decode_words
from weftmesh.runtime.round_settings import RoundSettings

JOB: Final = HEADS[HEAD]
SPEC: Final = JobSpec(head=HEAD)


class Rounds:
    """The rounds of one training over teams, as of a moment.

    Args:
        teams: each a node of its own.
        as_of_s: Unix seconds; what happened later is not known.
        directory: for what the nodes keep.
    """

    def __init__(self, teams: Sequence[Team], as_of_s: float, directory: Path) -> None:
        self._as_of_s = as_of_s
        self._nodes: dict[str, FinishTrainer] = {}
        for team in teams:
            (directory / team.name).mkdir()
            board = FinishTeams(_Board(team).tasks)
            self._nodes[team.name] = FinishTrainer(board, TeamFile(directory / team.name, HEAD))

    def trained(self) -> bytes:
        """The model after the round that standardises and ROUNDS more.

        Raises:
            PreconditionError: no team has enough resolved tasks.
        """
        layout = ContributionLayout(JOB.counts_length)
        model = JOB.first_model(self._total(RoundKind.STATISTICS, b"", layout)[: layout.update_length].tolist())
        for _ in range(ROUNDS):
            model = self.advanced(model)
        return model

    def advanced(self, model: bytes) -> bytes:
        """The next version, by one training round."""
        step = JOB.step(SPEC)
        layout = ContributionLayout(step.contribution_length(model), JOB.train_metrics)
        mean = layout.unpack(self._total(RoundKind.TRAINING, model, layout)).update
        return step.advanced(model, mean.astype(np.float32))

    def judged(self, model: bytes) -> tuple[float, float]:
        """The mean losses of the model and of the teams' own history, on the tasks that were held out.

        Raises:
            PreconditionError: no task was.
        """
        layout = ContributionLayout(0, (MODEL_LOSS, BASELINE_LOSS))
        found = layout.unpack(self._total(RoundKind.EVALUATION, model, layout)).metrics
        return found[MODEL_LOSS], found[BASELINE_LOSS]

    def _total(self, kind: RoundKind, model: bytes, layout: ContributionLayout) -> Reals:
        """The sum over the nodes that have something to add."""
        settings = RoundSettings(HEAD, kind, self._as_of_s)
        words, contributors = np.zeros(layout.length, dtype=np.uint64), 0
        for name, node in self._nodes.items():
            try:
                words += layout.pack(*_contribution(node, name, model, settings))
            except PreconditionError:
                continue
            contributors += 1
        if not contributors:
            raise PreconditionError("no team has enough resolved tasks for a round")
        return decode_words(words)


@contextmanager
def rounds(teams: Sequence[Team], as_of_s: float) -> Iterator[Rounds]:
    """A training whose nodes forget everything when the block ends."""
    with TemporaryDirectory() as directory:
        yield Rounds(teams, as_of_s, Path(directory))


def trained(teams: Sequence[Team], as_of_s: float) -> FinishModel:
    """The model that teams train together from what is known at a moment."""
    with rounds(teams, as_of_s) as training:
        return decode_model(training.trained())


class _Board:
    def __init__(self, team: Team) -> None:
        self._tasks = [record.task for record in team.records]

    def tasks(self, _: str, as_of_s: float) -> list[BoardTask]:
        known = (task for task in self._tasks if task.times.created_s <= as_of_s)
        return [replace(task, times=task.times.known_at(as_of_s)) for task in known]


def _contribution(
    node: FinishTrainer, project: str, model: bytes, settings: RoundSettings
) -> tuple[Reals, float, dict[str, float]]:
    if settings.kind is RoundKind.EVALUATION:
        found = node.evaluate(model, (project,), settings)
        return np.zeros(0), found.weight, dict(found.metrics)
    if settings.kind is RoundKind.STATISTICS:
        update = node.count((project,), settings)
    else:
        update = node.train(model, (project,), settings)
    return update.change.astype(np.float64), update.weight, dict(update.metrics)
