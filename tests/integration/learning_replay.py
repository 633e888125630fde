"""Makes the versions of a job again in this process, from the nodes' own tasks and the rounds that were committed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.coordinator.heads import EffortHead
from weftmesh.coordinator.registry import JobState, is_seed
from weftmesh.core.forecast.text import TaskText
from weftmesh.core.learning.model import RoundKind, Version
from weftmesh.learner.count_noise import CountNoise
from weftmesh.learner.effort import HEAD, EffortTrainer
from weftmesh.learner.local_tasks import LocalTasks
from weftmesh.learner.node import LabelledTask
from weftmesh.learner.team_file import TeamFile
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.masking import ContributionLayout, Reals, Words, decode_words
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import LocalUpdate


class Replay:
    """What every node would have sent, added up without masks.

    Args:
        projects: of each node.
        tasks: of each project.
        learners: what each node's own learner keeps, whose count noise is read.
        directory: for what learners keep here.
    """

    def __init__(
        self,
        projects: dict[str, tuple[str, ...]],
        tasks: dict[str, list[LabelledTask]],
        learners: dict[str, Path],
        directory: Path,
    ) -> None:
        self._projects = projects
        self._trainers = {}
        for node in projects:
            (directory / node).mkdir(parents=True)
            self._trainers[node] = EffortTrainer(
                LocalTasks(tasks.__getitem__), TeamFile(directory / node, HEAD), CountNoise(learners[node])
            )

    def model(self, state: JobState, number: int) -> bytes:
        """The bytes of a version that is no seed."""
        version, head, spec = state.versions[number], EffortHead(), state.spec
        assert spec is not None
        parent = state.versions[version.parent]
        if not version.round_id:
            return head.moved_on(self.model(state, parent.number), number, spec)
        if is_seed(parent):
            layout = ContributionLayout(head.counts_length)
            total = self._total(state, version, RoundKind.STATISTICS, b"", layout)
            return head.first_model(total[: layout.update_length].tolist())
        base, step = self.model(state, parent.number), head.step(spec)
        layout = ContributionLayout(step.contribution_length(base), head.train_metrics)
        total = self._total(state, version, RoundKind.TRAINING, base, layout)
        return step.advanced(base, layout.unpack(total).update.astype(np.float32))

    def _total(
        self, state: JobState, version: Version, kind: RoundKind, base: bytes, layout: ContributionLayout
    ) -> Reals:
        """The sum over those who were in the committed one."""
        spec = state.spec or JobSpec()
        settings = RoundSettings(spec.head, kind, float(version.as_of_s), update_clip=spec.update_clip)
        words: Words = np.zeros(layout.length, dtype=np.uint64)
        for node in state.intents[kind, version.parent].active:
            words += self._words(node, base, settings, layout)
        return decode_words(words)

    def _words(self, node: str, base: bytes, settings: RoundSettings, layout: ContributionLayout) -> Words:
        trainer, projects = self._trainers[node], self._projects[node]
        update: LocalUpdate
        if settings.kind is RoundKind.STATISTICS:
            update = trainer.count(projects, settings)
        else:
            update = trainer.train(base, projects, settings)
        return layout.pack(update.change.astype(np.float64), update.weight, update.metrics)


async def replay_of(mesh: DevMesh, directory: Path) -> Replay:
    """A replay from what the nodes of a mesh have at home."""
    projects: dict[str, tuple[str, ...]] = {}
    tasks: dict[str, list[LabelledTask]] = {}
    for number, node in enumerate(mesh.nodes.values()):
        project = f"HOME{number}"
        projects[node.name] = (project,)
        async with node.client() as client:
            listing = client.list_tasks(f"projects/{project}", filter="status=done has:estimate")
            tasks[project] = [
                LabelledTask(
                    task.name,
                    task.version,
                    task.create_time.ToNanoseconds() / 1e9,
                    task.update_time.ToNanoseconds() / 1e9,
                    task.estimate,
                    TaskText(task.title, task.description),
                )
                async for task in listing
            ]
    learners = {node.name: node.learner_directory for node in mesh.nodes.values()}
    return Replay(projects, tasks, learners, directory)
