"""Forecasts over real nodes: a model that other teams trained, a team that is new, and the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from statistics import fmean

import pytest
import pytest_asyncio
from benchmarks.learning.dataset import DATA, Rows, available, raw_rows
from benchmarks.learning.training import federated
from tests.integration.command_line import done, weftmesh
from tests.integration.test_learner import JOB, coordinating, fill, mapped

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.client.requests import new_request_id
from weftmesh.core.aggregation.messages import KeyAdvertisement, ShareUpload, UnmaskShares
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import COUNTS_LENGTH, raw_features
from weftmesh.core.forecast.model_bytes import encode_model
from weftmesh.core.forecast.text import TaskText
from weftmesh.core.learning.model import RoundKind
from weftmesh.learning.v1 import command_pb2, learning_pb2
from weftmesh.runtime.masking import ContributionLayout
from weftmesh.runtime.wire.envelopes import Contribution, unseal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

NEW_TEAM = "duracloud"
OTHER_TEAMS = ("bamboo", "mule", "usergrid", "mesos")
LABELS = 20
TITLE_CHARACTERS = 500
DESCRIPTION_CHARACTERS = 10_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("forecasts"), 3, fsync=False, learners=True) as running:
        async with running.first.client() as client:
            spec = learning_pb2.JobSpec(head="effort").SerializeToString()
            job = command_pb2.DefineJob(job=JOB, contributors_floor=3, threshold_percent=60, spec=spec)
            change = learning_pb2.ChangeLearningRequest(define_job=job, request_id=new_request_id())
            await client.learning.change_learning(change)
        yield running


async def write(node: DevNode, project: str, tasks: Sequence[board_pb2.Task]) -> list[str]:
    """A project with tasks; their names."""
    async with node.client() as client:
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id=project))
        names = []
        for task in tasks:
            request = board_pb2.CreateTaskRequest(parent=f"projects/{project}", task=task)
            names.append((await client.board.create_task(request)).name)
    return names


def issue(row: dict[str, str], *, is_done: bool) -> board_pb2.Task:
    task = board_pb2.Task(
        title=row["title"][:TITLE_CHARACTERS], description=row["description"][:DESCRIPTION_CHARACTERS]
    )
    if is_done:
        task.status, task.estimate = board_pb2.TASK_STATUS_DONE, float(row["storypoint"])
    return task


def rows_of(name: str) -> list[dict[str, str]]:
    return raw_rows(DATA / f"{name}.csv.gz")


def model_of_the_others() -> EffortModel:
    """What four other teams learn together, by the learner's and the coordinator's own functions."""
    nodes = {}
    for name in OTHER_TEAMS:
        known = [row for row in rows_of(name) if row["split_mark"] != "test"]
        texts = [raw_features(TaskText(row["title"], row["description"])) for row in known]
        nodes[name] = Rows(texts, [float(row["storypoint"]) for row in known])
    return federated(nodes)


@pytest.mark.skipif(not available(), reason=f"{DATA} is not here: the issues are not part of the repository")
async def test_a_new_team_with_twenty_labels_is_forecast_better_than_by_its_median(mesh: DevMesh) -> None:
    rows = rows_of(NEW_TEAM)
    labelled = [row for row in rows if row["split_mark"] != "test"][-LABELS:]
    asked = [row for row in rows if row["split_mark"] == "test"]
    names = await write(
        mesh.first, "NEW", [issue(row, is_done=True) for row in labelled] + [issue(row, is_done=False) for row in asked]
    )
    async with coordinating(mesh) as coordinator:
        version = await coordinator.add_version(encode_model(model_of_the_others()))
        await done(mesh.first, "learn", "promote", JOB, str(version), "--unevaluated")

    errors, baseline_errors = [], []
    async with mesh.node("node2").client() as client:
        for name, row in zip(names[LABELS:], asked, strict=True):
            found = (await client.learning.forecast_task(name)).effort
            assert (found.labels, found.model_version) == (LABELS, version)
            errors.append(abs(found.p50 - float(row["storypoint"])))
            baseline_errors.append(abs(found.baseline - float(row["storypoint"])))
    print(f"mean absolute error {fmean(errors):.3f}, of the median {fmean(baseline_errors):.3f}")
    assert fmean(errors) < fmean(baseline_errors)


async def test_the_command_line_shows_a_forecast_and_what_is_missing(mesh: DevMesh) -> None:
    labels = [board_pb2.Task(title="typo", status=board_pb2.TASK_STATUS_DONE, estimate=one) for one in (1.0, 3.0)]
    await write(mesh.first, "FEW", [*labels, board_pb2.Task(title="rewrite")])
    shown = await weftmesh(mesh.first, "forecast", "FEW-3")
    assert shown.code == 0, shown.err
    assert "effort, baseline    2    3    3  2 done tasks" in shown.out
    assert "finish" in shown.err, "why there is no date"
    found = (await weftmesh(mesh.first, "--json", "forecast", "few-3")).json()
    assert found["key"] == "FEW-3"
    assert (found["effort"]["p50"], found["effort"]["labels"], found["effort"]["model_version"]) == (2, 2, 0)
    assert (await weftmesh(mesh.first, "forecast", "FEW-9")).code == 7


async def test_a_task_of_another_node_is_forecast_there_alone(mesh: DevMesh) -> None:
    home = mesh.node("node2")
    await fill(home, 2)
    assert "40 done tasks" in await done(home, "forecast", "HOME2-1")
    elsewhere = await weftmesh(mesh.first, "forecast", "HOME2-1")
    assert elsewhere.code == 1
    assert "lives on node node2" in elsewhere.err


async def test_people_ask_for_rounds_take_a_version_and_go_back(mesh: DevMesh) -> None:
    node = mesh.first
    assert "would be trained on to version 7" in await done(
        node, "learn", "run", "effort", "--rounds", "5", "--dry-run"
    )
    assert (await weftmesh(node, "learn", "history", "effort")).code == 7
    asked = await weftmesh(node, "learn", "run", "effort", "--rounds", "5")
    assert asked.code == 0, asked.err
    assert "versions 3 to 7: one of each training round" in asked.err
    assert "version 1 is a seed and 2 the untrained model" in asked.err
    assert "weftmesh-learner" not in asked.err + (await weftmesh(node, "learn", "status")).err
    assert "trained on to version 9" in await done(node, "learn", "run", "effort", "--rounds", "2")
    jobs = {one["name"]: one for one in (await weftmesh(node, "--json", "learn", "status")).json()["jobs"]}
    assert jobs["effort"]["spec"]["goal_version"] == 9
    assert jobs["effort"]["contributors_floor"] == 3

    async with coordinating(mesh) as coordinator:
        number = str(await coordinator.add_version(b"a model that nobody ever asks for a forecast"))
    nothing = await weftmesh(node, "learn", "rollback", "effort")
    assert nothing.code == 1
    assert "no active version" in nothing.err
    refused = await weftmesh(node, "learn", "promote", JOB, number)
    assert refused.code == 1
    assert "never evaluated" in refused.err
    active = await active_version(node)
    assert "would be active" in await done(node, "learn", "promote", JOB, number, "--unevaluated", "--dry-run")
    assert await active_version(node) == active
    await done(node, "learn", "promote", JOB, number, "--unevaluated")
    assert await active_version(node) == int(number)
    await done(node, "learn", "rollback", JOB, "--why", "it is none")
    assert await active_version(node) == active
    history = await done(node, "learn", "history", JOB)
    assert "version-rolled-back" in history
    assert "it is none" in history


async def active_version(node: DevNode) -> int:
    return (await learning(node)).jobs[0].active_version


async def learning(node: DevNode) -> learning_pb2.Learning:
    async with node.client() as client:
        return await client.learning.get_learning(learning_pb2.GetLearningRequest(job=JOB))


async def test_a_node_s_owner_takes_it_out_and_in_again(mesh: DevMesh) -> None:
    node = mesh.node("node3")
    await done(node, "learn", "opt-out", "--dry-run")
    assert "node3" in (await learning(node)).contributors
    await done(node, "learn", "opt-out", "--job", JOB, "--why", "not ours to give")
    assert "node3" not in (await learning(node)).contributors
    await done(node, "learn", "opt-out")
    status = (await weftmesh(node, "--json", "learn", "status")).json()
    assert [(one["node"], one["job"], one["why"]) for one in status["opt_outs"]] == [
        ("node3", JOB, "not ours to give"),
        ("node3", "", ""),
    ]
    assert "node3" not in status["contributors"]
    await done(node, "learn", "opt-in")
    await done(node, "learn", "opt-in", "--job", JOB)
    assert "node3" in (await learning(node)).contributors


async def test_what_leaves_in_a_round_is_what_the_dry_run_said(mesh: DevMesh) -> None:
    for number in (1, 3):
        await fill(mesh.node(f"node{number}"), number)
    told = await weftmesh(mesh.first, "--json", "learn", "dry-run", JOB)
    report = told.json()
    assert report["contributors"] == 3
    assert {"project_id": "HOME1", "labelled_tasks": 40} in report["projects"]
    sizes = {one["message"]: one["size_bytes"] for one in report["sizes"]}
    async with coordinating(mesh) as coordinator:
        first = await coordinator.add_version(b"what is counted is made of the sums of the first round")
        await coordinator.round(RoundKind.STATISTICS, first, b"", ContributionLayout(COUNTS_LENGTH))
        left: dict[type, set[int]] = {}
        for one in coordinator.told:
            left.setdefault(type(unseal(one)), set()).add(len(one))
    assert left.pop(ShareUpload) == {sizes["statistics: encrypted shares of the masks' secrets"]}
    assert left.pop(Contribution) == {sizes["statistics: masked vector"]}
    assert left.pop(UnmaskShares) == {sizes["statistics: shares that take the masks off the sum"]}
    keys = sizes["statistics: public keys"]
    assert all(keys - 8 <= size <= keys for size in left.pop(KeyAdvertisement)), (
        "a signature in DER is at most 72 bytes"
    )
    assert not left


async def test_the_example_of_a_dry_run_fits_a_terminal(mesh: DevMesh) -> None:
    shown = await done(mesh.node("node2"), "learn", "dry-run", JOB)
    assert "its words stay here" in shown
    assert "evaluation: masked vector" in shown
    assert max(map(len, shown.splitlines())) <= 200


async def test_the_agent_that_forecasts_has_neither_numpy_nor_flower(mesh: DevMesh) -> None:
    for node in mesh.nodes.values():
        assert "numpy" not in mapped(node.pid)


async def test_a_job_of_no_kind_is_not_made(mesh: DevMesh) -> None:
    refused = await weftmesh(mesh.first, "learn", "run", "lottery")
    assert refused.code == 7
    async with mesh.first.client() as client:
        with pytest.raises(WeftmeshError, match="no job"):
            await client.learning.dry_run("lottery")
