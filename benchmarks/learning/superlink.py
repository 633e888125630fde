"""The time of a round over Flower's SuperLink and SuperNodes: the job of `over_processes`, on Flower's own engine.

Run as `python -m benchmarks.learning.superlink [--nodes 3] [--rounds 5]`: a minute or two for 3 nodes on 2 cores.
Flower runs with its own settings. It averages plainly: no masks, no log, no TLS on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from tests.peers.flower_app.effort_app.client import trainer_over

from benchmarks import report
from benchmarks.learning import dataset
from benchmarks.learning.flower_deployment import DeploymentError, NodeFiles, deployment
from benchmarks.report import Row
from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.exporter import export_jsonl
from weftmesh.coordinator.heads import EffortHead
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.effort import HEAD
from weftmesh.runtime.round_settings import RoundSettings

PEER: Final = "Flower SuperLink"
RUN_S_MAX: Final = 400.0
"""A run that takes longer is given up."""
CREATED_S: Final = 1_700_000_000


@dataclass(frozen=True, slots=True)
class SuperlinkRounds:
    """What rounds over Flower's engine took.

    Attributes:
        nodes: SuperNodes.
        rounds_s: seconds of each round; the first one, in which apps are installed, is left out.
        idle_bytes: memory of all of Flower's processes before the run, shared pages counted once.
    """

    nodes: int
    rounds_s: Sequence[float]
    idle_bytes: int


def superlink_rounds(nodes: int, rounds: int, say: Callable[[str], None]) -> SuperlinkRounds:
    """Start a SuperLink and SuperNodes with a project each, train, and stop them.

    Args:
        nodes: how many, at most as many as there are projects.
        rounds: that are timed; one more is run first.
        say: told what happens.

    Raises:
        DeploymentError: Flower did not start, or the run was not over in RUN_S_MAX.
    """
    with TemporaryDirectory(prefix="weftmesh-") as name:
        directory = Path(name)
        files = [asyncio.run(_node_files(directory, path)) for path in dataset.files()[:nodes]]
        base = first_model(files, directory / "counting")
        with deployment(directory, files) as running:
            idle_bytes = running.memory_bytes()
            say(f"{nodes} SuperNodes run, {idle_bytes / 2**20:.0f} MiB with the SuperLink")
            run = running.run(base, rounds + 1, RUN_S_MAX)
    return SuperlinkRounds(nodes, run.rounds_s[1:], idle_bytes)


def first_model(nodes: Sequence[NodeFiles], state: Path) -> bytes:
    """The untrained model, from what the texts of all nodes count up to.

    Args:
        nodes: with their tasks.
        state: a directory for what a node would note while it counts; not one that it trains with.
    """
    config = RoundSettings(HEAD, RoundKind.STATISTICS).to_config()
    trainers = [trainer_over(node.tasks, node.project, state, RoundKind.STATISTICS) for node in nodes]
    counts = [trainer.train(b"", config).change for trainer in trainers]
    return EffortHead().first_model(np.sum(counts, axis=0).tolist())


def rows_of(found: SuperlinkRounds, ours_s: Sequence[float] | None = None) -> list[Row]:
    """The time of a round.

    Args:
        found: of Flower.
        ours_s: seconds of each round of as many nodes over the mesh, where they were measured in the same run.
    """
    theirs = median(found.rounds_s)
    memory = Row(f"{PEER} and {found.nodes} SuperNodes, idle", "memory", found.idle_bytes / 2**20, "MiB")
    if not ours_s:
        return [Row(f"round of {found.nodes} nodes over {PEER}", "time", theirs, "s"), memory]
    ours = median(ours_s)
    return [Row(f"round of {found.nodes} nodes", "time", ours, "s", PEER, theirs, ours / theirs), memory]


def lines_of(found: SuperlinkRounds) -> str:
    """For people."""
    times_s = found.rounds_s
    return (
        f"round of {found.nodes} nodes over {PEER}: median {median(times_s):.1f} s, {min(times_s):.1f} to "
        f"{max(times_s):.1f} s over {len(times_s)} rounds; all processes idle {found.idle_bytes / 2**20:.0f} MiB"
    )


async def _node_files(directory: Path, path: Path) -> NodeFiles:
    project = path.name.removesuffix(".csv.gz").upper()
    lines = io.StringIO()
    await export_jsonl(_tasks(path, project), lines)
    tasks = directory / f"{project}.jsonl"
    tasks.write_text(lines.getvalue(), encoding="utf-8")
    return NodeFiles(tasks, project, directory / f"{project}-state")


async def _tasks(path: Path, project: str) -> AsyncIterator[board_pb2.Task]:
    for number, row in enumerate(dataset.raw_rows(path)):
        task = board_pb2.Task(
            name=f"projects/{project}/tasks/{number:05}",
            title=row["title"],
            description=row["description"],
            status=board_pb2.TASK_STATUS_DONE,
            estimate=float(row["storypoint"]),
            version=1,
        )
        task.create_time.FromSeconds(CREATED_S + number)
        task.update_time.FromSeconds(CREATED_S + number)
        yield task


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not dataset.available():
        sys.exit(f"{dataset.DATA} is not there: the issues are not part of the repository")
    print(report.machine())
    try:
        print(lines_of(superlink_rounds(options.nodes, options.rounds, print)))
    except DeploymentError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
