"""A finish job on three real nodes: defined on the command line, trained to its goal, judged, served as a forecast."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from tests.integration.command_line import done, weftmesh
from tests.integration.learning_mesh import coordinating, until

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.forecast.finish_averaging import ROUNDS, contribution_length, counts_length
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.learning.model import RoundKind, RoundStage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

SETTLE_S = 120.0
DAYS = {"Bug": 1.0, "Story": 40.0}
TASKS = 150
GOAL = 2 + ROUNDS
WORD_BYTES = 8
DAY_S = 86_400


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("finish"), 3, fsync=False, learners=True) as running:
        for number, node in enumerate(running.nodes.values(), 1):
            await fill(node, number)
        yield running


async def fill(node: DevNode, number: int) -> None:
    """Imported tasks at home on a node: bugs are done soon and stories late, the newest are open, and one of each."""
    rng, project, now = random.Random(number), f"HOME{number}", datetime.now(UTC)
    tasks = [board_pb2.Task(title=f"new {kind}", custom={"issue_type": kind}) for kind in DAYS]
    for _ in range(TASKS):
        kind = rng.choice(tuple(DAYS))
        created = now - timedelta(days=rng.uniform(1.0, 400.0))
        resolved = created + timedelta(days=rng.expovariate(1.0 / (number * DAYS[kind])))
        task = board_pb2.Task(title="some work", custom={"issue_type": kind, "created": created.isoformat()})
        if resolved < now:
            task.status = board_pb2.TASK_STATUS_DONE
            task.custom["resolved"] = resolved.isoformat()
        tasks.append(task)
    async with node.client() as client:
        home = board_pb2.Project(title="", home=f"node:{node.name}")
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id=project, project=home))
        requests = [board_pb2.CreateTaskRequest(parent=f"projects/{project}", task=task) for task in tasks]
        for answer in await client.write_many(requests, timeout_s=30.0):
            assert not isinstance(answer, WeftmeshError), answer


async def test_a_dry_run_shows_the_columns_and_the_bytes_before_there_is_a_job(mesh: DevMesh) -> None:
    report = (await weftmesh(mesh.first, "--json", "learn", "dry-run", "finish")).json()
    assert report["columns"] == [f"{place}: {name}" for place, name in enumerate(FEATURES)]
    assert len(report["example_values"]) == len(FEATURES)
    (project,) = report["projects"]
    assert TASKS // 2 < project["labelled_tasks"] < TASKS
    vectors = {one["message"]: one["size_bytes"] for one in report["sizes"] if one["message"].endswith("masked vector")}
    numbers = (counts_length(len(FEATURES)) + 1, contribution_length(len(FEATURES)) + 2, 3)
    for size_bytes, count in zip(vectors.values(), numbers, strict=True):
        assert count * WORD_BYTES < size_bytes < count * WORD_BYTES + 200
    assert FEATURES[-1] in await done(mesh.first, "learn", "dry-run", "finish")


async def test_a_job_is_trained_to_its_goal_and_its_version_forecasts(mesh: DevMesh) -> None:
    before = (await weftmesh(mesh.first, "--json", "forecast", "HOME1-1")).json()["finish"]
    assert before["model_version"] == 0
    assert before["baseline_p50"]

    async with coordinating(mesh):
        assert f"version {GOAL}" in await done(mesh.first, "learn", "run", "finish")
        state = await until(mesh.first, "finish", lambda one: one.job.active_version == GOAL, SETTLE_S)
    finished = [one.kind for one in state.rounds.values() if one.stage is RoundStage.DONE]
    assert (len(finished), finished.count(RoundKind.TRAINING)) == (ROUNDS + 2, ROUNDS)
    (judged,) = state.evaluations[GOAL].heads
    assert judged.head == "finish"
    assert judged.model_loss < judged.baseline_loss
    assert judged.examples == pytest.approx(3 * TASKS / 5, abs=6)

    for number, node in enumerate(mesh.nodes.values(), 1):
        async with node.client() as client:
            bug, story = [
                (await client.learning.forecast_task(f"tasks/HOME{number}-{place}")).finish for place in (1, 2)
            ]
        for one in (bug, story):
            assert one.model_version == GOAL
            assert one.p50.seconds <= one.p85.seconds <= one.p95.seconds
        assert bug.p85.seconds < story.p85.seconds - DAY_S
        assert abs(bug.baseline_p85.seconds - story.baseline_p85.seconds) < DAY_S, "a history says the same of both"
    shown = await done(mesh.first, "forecast", "HOME1-1")
    assert f"version {GOAL}" in shown
    assert "finish, baseline" in shown
    history = await weftmesh(mesh.first, "learn", "history", "finish")
    assert "pinball loss" in history.err
