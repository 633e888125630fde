"""A learner that trains in the clear, to compare with: `python -m benchmarks.learning.plain_learner SOCKET DIRECTORY`.

It has the product's session, trainer and Flower app; what it lacks is secure aggregation. A product's learner refuses
what this one is asked.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weftmesh.client import connect
from weftmesh.learner.app import answer_plain, client_app
from weftmesh.learner.count_noise import CountNoise
from weftmesh.learner.effort import HEAD, EffortTrainer
from weftmesh.learner.local_node import LocalNode
from weftmesh.learner.local_tasks import LocalTasks
from weftmesh.learner.priority import yield_to_others
from weftmesh.learner.session import Answer, Session
from weftmesh.learner.team_file import TeamFile
from weftmesh.learning.v1.learning_pb2 import Admitted
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import ConfigValue, LocalEvaluation, LocalUpdate

IDLE_S = 600.0
READY = "ready"
"""A file that is there once everything is loaded."""


@dataclass(frozen=True, slots=True)
class OneProject:
    """Implements `app.Trainer` for one project, whoever asks."""

    head: EffortTrainer
    project: str

    def train(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalUpdate:
        """See `app.Trainer`."""
        return self.head.train(model, (self.project,), RoundSettings.from_config(config))

    def evaluate(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalEvaluation:
        """See `app.Trainer`."""
        return self.head.evaluate(model, (self.project,), RoundSettings.from_config(config))


async def attend(socket: str, directory: Path, project: str) -> None:
    """Answer until the node has no more questions."""
    loop = asyncio.get_running_loop()
    async with connect(socket) as client:

        def make(admitted: Admitted) -> Answer:
            node = LocalNode(admitted.node, client, loop)
            head = EffortTrainer(LocalTasks(node.labelled_tasks), TeamFile(directory, HEAD), CountNoise(directory))
            app = client_app(OneProject(head, project))
            return lambda _job, _term, payload: answer_plain(app, payload)

        (directory / READY).touch()
        await Session(client, make, IDLE_S).run()


def main() -> None:
    """Run."""
    socket, directory, project = sys.argv[1:]
    yield_to_others()
    asyncio.run(attend(socket, Path(directory), project))


if __name__ == "__main__":
    main()
