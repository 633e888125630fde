"""The client app of a SuperNode: the product's own, over the tasks in the file that the node's configuration names.

    flower-supernode --node-config 'tasks="/path/tasks.jsonl" project="PAY" state="/path/directory"' ...

Flower starts a process for every message. What has to outlast it, up to when labels were trained on, is in `state`.
"""

from __future__ import annotations

from pathlib import Path

from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.app import client_app
from weftmesh.learner.count_noise import CountNoise
from weftmesh.learner.effort import HEAD, EffortTrainer
from weftmesh.learner.local_tasks import LocalTasks
from weftmesh.learner.team_file import TeamFile
from weftmesh.learner.trainer import Assignment, RoundTrainer
from weftmesh.runtime.flower import ClientApp, Context, Message

from .tasks import ExportedTasks


def trainer_over(tasks: Path, project: str, state: Path, kind: RoundKind) -> RoundTrainer:
    """A trainer that does one kind of work, on one project.

    Args:
        tasks: an export of the project's tasks.
        project: its id.
        state: a directory of this node, kept from one round to the next.
        kind: what is to be done; anything else is refused.
    """
    state.mkdir(parents=True, exist_ok=True)
    head = EffortTrainer(LocalTasks(ExportedTasks(tasks).labelled_tasks), TeamFile(state, HEAD), CountNoise(state))
    trainer = RoundTrainer({HEAD: head})
    trainer.assign(Assignment(HEAD, kind, base_sha256=None, projects=(project,)))
    return trainer


def _answer(kind: RoundKind, message: Message, context: Context) -> Message:
    node = {name: str(value) for name, value in context.node_config.items()}
    trainer = trainer_over(Path(node["tasks"]), node["project"], Path(node["state"]), kind)
    return client_app(trainer)(message, context)


app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """A training round."""
    return _answer(RoundKind.TRAINING, message, context)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """An evaluation round."""
    return _answer(RoundKind.EVALUATION, message, context)
