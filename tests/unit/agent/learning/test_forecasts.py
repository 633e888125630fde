"""What a node says a task will take, and when it will be done."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from tests.unit.agent.learning.bench import bench
from tests.unit.agent.learning.team import DAY_S, NOW_S, Team, labels, serve, trained

from weftmesh.agent.learning.effort_forecasts import fit
from weftmesh.agent.learning.round_sizes import FINISH
from weftmesh.agent.learning.team_cache import TeamCache
from weftmesh.core.board.model import Status, Task
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.forecast.finish_averaging import untrained
from weftmesh.core.forecast.finish_bytes import encode_model as encode_finish
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.forecast.model_bytes import encode_model
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.rpc import from_rpc_error

MODEL = trained()
FINISH_MODEL = encode_finish(untrained([*[0.0] * 2 * len(FEATURES), 1.0]))
DAYS = 30


@pytest_asyncio.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with bench(tmp_path, 1) as nodes:
        yield await Team(nodes[0]).founded()


# Effort


async def test_a_team_that_never_trained_gets_forecasts_from_the_others(team: Team) -> None:
    version = await serve(team.node, "effort", encode_model(MODEL))
    await team.label(20)
    large, small = [await team.add(title) for title in ("rewrite the scheduler", "typo in a label")]

    heavy, light = [(await team.forecast(key)).effort for key in (large, small)]
    assert heavy.p50 in (8, 13)
    assert light.p50 in (1, 2)
    for one in (heavy, light):
        assert one.p50 <= one.p85 <= one.p95
        assert (one.labels, one.model_version) == (20, version)
        assert 1 <= one.baseline <= 13
    assert heavy.words[0].weight > 0 > light.words[0].weight
    assert {"rewrite", "scheduler"} & {word for one in heavy.words for word in one.words.split(", ")}


async def test_without_a_model_there_is_the_team_s_median_and_why(team: Team) -> None:
    await team.label(20)
    found = await team.forecast(await team.add("rewrite the scheduler"))
    efforts = sorted(effort for _, effort in labels(20))
    assert found.effort.p50 == found.effort.baseline == (efforts[9] + efforts[10]) / 2
    assert (found.effort.labels, found.effort.model_version) == (20, 0)
    assert not found.effort.words
    assert "no model for effort yet: no job learns effort" in found.notes[0]


async def test_without_a_label_nothing_is_made_up(team: Team) -> None:
    await serve(team.node, "effort", encode_model(MODEL))
    found = await team.forecast(await team.add("rewrite the scheduler"))
    assert not found.HasField("effort")
    assert any("no done task with an estimate" in note for note in found.notes)


async def test_with_few_labels_the_median_speaks_though_there_is_a_model(team: Team) -> None:
    await serve(team.node, "effort", encode_model(MODEL))
    await team.label(4)
    found = await team.forecast(await team.add("rewrite the scheduler"))
    assert (found.effort.labels, found.effort.model_version) == (4, 0)
    assert any("needs 5 labels" in note for note in found.notes)


async def test_a_model_that_cannot_be_read_leaves_the_median(team: Team) -> None:
    await serve(team.node, "effort", b"no model at all")
    await team.label(20)
    for _ in range(2):
        found = await team.forecast(await team.add("rewrite the scheduler"))
        assert (found.effort.labels, found.effort.model_version) == (20, 0)
        assert "the model cannot be used" in found.notes[0]


async def test_a_new_version_is_used_at_once(team: Team) -> None:
    await serve(team.node, "effort", encode_model(trained(rounds=1)))
    await team.label(20)
    key = await team.add("rewrite the scheduler")
    assert (await team.forecast(key)).effort.model_version == 1
    assert await serve(team.node, "effort", encode_model(MODEL)) == 2
    assert (await team.forecast(key)).effort.model_version == 2


async def test_a_scale_follows_after_ten_new_labels(team: Team) -> None:
    await team.label(20)
    key = await team.add("anything")
    assert (await team.forecast(key)).effort.labels == 20
    await team.label(9, seed=2)
    assert (await team.forecast(key)).effort.labels == 20
    await team.label(1, seed=3)
    assert (await team.forecast(key)).effort.labels == 30


async def test_the_first_labels_count_at_once(team: Team) -> None:
    key = await team.add("anything")
    for amount in (1, 2, 3):
        await team.done("typo", float(amount))
        assert (await team.forecast(key)).effort.labels == amount


async def test_an_estimate_counts_once_its_task_is_done(team: Team) -> None:
    await team.add("open", estimate=8.0)
    other = await team.add("to be deleted", status=Status.DONE, estimate=1.0)
    key = await team.add("asked about")
    assert (await team.forecast(key)).effort.labels == 1
    await team.set(other, status=Status.TODO)
    assert not (await team.forecast(key)).HasField("effort")


async def test_a_task_of_this_node_s_own_is_forecast_here(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as nodes:
        team = await Team(nodes[0], "MINE", home="node:n1").founded()
        await team.label(6)
        assert (await team.forecast(await team.add("private"))).effort.labels == 6


async def test_a_task_of_another_node_is_not_forecast_here(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as nodes:
        away = await Team(nodes[0], "AWAY", home="node:n2").founded()
        assert await refused(away, "AWAY-1") == "PROJECT_ELSEWHERE"


@pytest.mark.parametrize(("key", "reason"), [("PROJ-99", "NOT_FOUND"), ("what?", "INVALID_INPUT")])
async def test_what_is_no_task_is_refused(team: Team, key: str, reason: str) -> None:
    assert await refused(team, key) == reason


async def refused(team: Team, key: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await team.forecast(key)
    return from_rpc_error(error.value).reason


# Finish time


async def finish_tasks(team: Team, days: int, count: int = 12) -> None:
    """Tasks that took so many days."""
    for number in range(count):
        created_s = NOW_S - (100 + number) * DAY_S
        key = await team.add(f"task {number}", created_s)
        await team.set(key, created_s + days * DAY_S, status=Status.DONE)


async def test_without_a_model_the_team_s_own_history_says_when(team: Team) -> None:
    await finish_tasks(team, DAYS)
    found = (await team.forecast(await team.add("new", NOW_S - DAY_S))).finish
    assert found.labels == 12
    assert not found.HasField("p50")
    assert found.baseline_p50.seconds == found.baseline_p95.seconds == NOW_S + (DAYS - 1) * DAY_S


async def test_a_date_lies_ahead_and_the_later_the_surer(team: Team) -> None:
    version = await serve(team.node, FINISH, FINISH_MODEL)
    await finish_tasks(team, DAYS)
    now_s = time.time()
    found = (await team.forecast(await team.add("new", now_s - 100 * DAY_S))).finish
    assert found.model_version == version
    assert now_s < found.p50.seconds <= found.p85.seconds <= found.p95.seconds
    assert found.baseline_p50.seconds == pytest.approx(now_s - 70 * DAY_S, abs=2), "of history alone, which is over"


async def test_a_pace_follows_tasks_that_are_done_and_not_those_that_come(team: Team) -> None:
    await finish_tasks(team, DAYS)
    key = await team.add("asked about")
    assert (await team.forecast(key)).finish.labels == 12
    await finish_tasks(team, DAYS, count=9)
    for number in range(20):
        await team.add(f"open {number}")
    assert (await team.forecast(key)).finish.labels == 12
    await finish_tasks(team, DAYS, count=1)
    assert (await team.forecast(key)).finish.labels == 22


async def test_a_team_without_history_gets_the_others_pace(team: Team) -> None:
    await serve(team.node, FINISH, FINISH_MODEL)
    found = await team.forecast(await team.add("first of all", time.time() - DAY_S))
    assert found.finish.HasField("p50")
    assert not found.finish.HasField("baseline_p50")
    assert any("no task of PROJ was finished" in note for note in found.notes)


async def test_what_is_done_has_no_date(team: Team) -> None:
    found = await team.forecast(await team.done("over", 3.0))
    assert not found.HasField("finish")
    assert any("is done" in note for note in found.notes)


# What is kept


async def test_the_team_asked_for_longest_ago_makes_room(team: Team) -> None:
    fitted: list[str] = []
    cache: TeamCache[None] = TeamCache(lambda task: task.estimate, 10, teams_max=2)

    async def ask(project_id: str) -> None:
        await cache.get(team.at, project_id, b"", lambda _tasks: fitted.append(project_id))

    for project_id in ("A", "B", "A", "C", "A", "B"):
        await ask(project_id)
    assert fitted == ["A", "B", "C", "B"]


async def test_an_old_fit_is_made_again(team: Team) -> None:
    clock_s = [0.0]
    fitted: list[int] = []
    cache: TeamCache[None] = TeamCache(lambda task: task.estimate, 10, clock_s=lambda: clock_s[0])
    for now_s in (0.0, 3_600.0, 3_601.0):
        clock_s[0] = now_s
        await cache.get(team.at, "PROJ", b"", lambda tasks: fitted.append(len(tasks)))
    assert fitted == [0, 0]


async def test_a_fit_that_fails_is_told_and_made_again(team: Team) -> None:
    cache: TeamCache[int] = TeamCache(lambda task: task.estimate, 10)

    def fail(_tasks: list[Task]) -> int:
        raise WeftmeshError("no fit")

    with pytest.raises(WeftmeshError, match="no fit"):
        await cache.get(team.at, "PROJ", b"", fail)
    assert await cache.get(team.at, "PROJ", b"", len) == 0


async def test_only_the_newest_labels_are_fitted_to(team: Team) -> None:
    await team.label(8)
    cache: TeamCache[list[str]] = TeamCache(lambda task: task.estimate, 3)
    assert await cache.get(team.at, "PROJ", b"", lambda tasks: [one.key for one in tasks]) == [
        "PROJ-6",
        "PROJ-7",
        "PROJ-8",
    ]


def test_no_label_makes_no_scale() -> None:
    assert fit(MODEL, []) is None


async def test_a_forecast_takes_little_once_its_team_is_known(team: Team) -> None:
    await serve(team.node, "effort", encode_model(MODEL))
    await team.label(50)
    key = await team.add("rewrite the scheduler")
    await team.forecast(key)
    async with team.node.stub() as stub:
        request = learning_pb2.ForecastTaskRequest(name=f"tasks/{key}")
        fastest_s = 1.0
        for _ in range(10):
            begin_s = time.perf_counter()
            await stub.ForecastTask(request, timeout=10)
            fastest_s = min(fastest_s, time.perf_counter() - begin_s)
    assert fastest_s < 0.05
