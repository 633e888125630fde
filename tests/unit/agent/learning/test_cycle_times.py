"""What the board says of how long tasks took, now and as of an earlier moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from tests.unit.agent.learning.bench import bench
from tests.unit.agent.learning.team import DAY_S, NOW_S, Team

from weftmesh.agent.learning.finish_rows import board_task
from weftmesh.core.board.model import Status, Task
from weftmesh.core.forecast.cycle_time import TaskTimes
from weftmesh.core.forecast.finish_features import BoardTask
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.rpc import from_rpc_error

CREATED_S = NOW_S - 30 * DAY_S
TIMES = {"custom_created": "2026-01-01T00:00:00Z", "custom_resolved": "2026-01-03T00:00:00Z"}


@pytest_asyncio.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with bench(tmp_path, 1) as nodes:
        yield await Team(nodes[0]).founded()


def task_of(team: Team, key: str) -> Task:
    task = team.at.board.find_task(key)
    assert task is not None
    return task


def days(team: Team, key: str, as_of_s: float = NOW_S) -> float | None:
    row = board_task(task_of(team, key), as_of_s)
    return None if row is None else row.times.duration_s(as_of_s) / DAY_S


async def test_cycle_times_are_those_that_somebody_saw(team: Team) -> None:
    seen = await team.add("seen", NOW_S - 9 * DAY_S)
    await team.set(seen, NOW_S - 4 * DAY_S, status=Status.DONE)
    imported = await team.add("imported", status=Status.DONE, **TIMES)
    later = await team.add("imported while open", custom_created="2026-01-01T00:00:00Z")
    await team.set(later, status=Status.DONE, **{"custom.resolved": "2026-01-02T00:00:00Z"})
    born_done = await team.add("done when it came", status=Status.DONE)
    cancelled = await team.add("given up", status=Status.CANCELLED)
    assert [days(team, key) for key in (seen, imported, later)] == [5.0, 2.0, 1.0]
    assert days(team, born_done) is None
    assert days(team, cancelled) is None


async def test_a_task_that_is_reopened_is_open_and_ends_when_it_is_done_again(team: Team) -> None:
    key = await team.add("comes back", CREATED_S)
    for day, status in ((3, Status.DONE), (5, Status.DOING), (9, Status.DONE), (12, Status.CANCELLED)):
        await team.set(key, CREATED_S + day * DAY_S, status=status)
        await team.set(key, CREATED_S + day * DAY_S, description=f"written on day {day}")

    def then(day: float) -> TaskTimes | None:
        row = board_task(task_of(team, key), CREATED_S + day * DAY_S)
        return None if row is None else row.times

    assert then(-1) is None, "it was not there yet"
    assert then(2) == TaskTimes(CREATED_S, None)
    assert then(4) == TaskTimes(CREATED_S, CREATED_S + 3 * DAY_S)
    assert then(6) == TaskTimes(CREATED_S, None)
    assert then(10) == TaskTimes(CREATED_S, CREATED_S + 9 * DAY_S)
    assert then(13) is None, "nobody saw what it would have taken"


async def test_an_import_is_not_known_before_it_came(team: Team) -> None:
    key = await team.add("imported", NOW_S - DAY_S, status=Status.DONE, **TIMES)
    assert days(team, key, NOW_S - 2 * DAY_S) is None
    assert days(team, key) == 2.0


@pytest.mark.parametrize(
    ("created", "resolved"),
    [("2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z"), ("1926-01-01T00:00:00Z", "2026-01-01T00:00:00Z")],
)
async def test_an_import_with_impossible_times_is_left_out(team: Team, created: str, resolved: str) -> None:
    key = await team.add("odd", status=Status.DONE, custom_created=created, custom_resolved=resolved)
    assert board_task(task_of(team, key)) is None


async def test_an_import_without_a_time_is_as_old_as_on_the_board(team: Team) -> None:
    odd = board_task(task_of(team, await team.add("no time at all", NOW_S, custom_created="last week")))
    assert odd is not None
    assert odd.times == TaskTimes(NOW_S, None)


async def test_the_learner_is_told_times_and_lengths_and_no_text(team: Team) -> None:
    await team.add("canary", CREATED_S, description="canary canary", custom_issue_type="Bug")
    done = await team.add("canary", CREATED_S + DAY_S)
    await team.set(done, CREATED_S + 3 * DAY_S, status=Status.DONE)
    await team.add("written later", NOW_S + 1)
    async with team.node.stub() as stub:
        request = learning_pb2.ListCycleTimesRequest(project_id="PROJ", as_of_s=NOW_S)
        parts = [part async for part in stub.ListCycleTimes(request, timeout=10)]
    rows = [
        BoardTask(
            TaskTimes(one.created_s, one.resolved_s if one.HasField("resolved_s") else None),
            one.kind,
            one.title_characters,
            one.description_characters,
        )
        for part in parts
        for one in part.tasks
    ]
    assert rows == [
        BoardTask(TaskTimes(CREATED_S, None), "Bug", 6, 13),
        BoardTask(TaskTimes(CREATED_S + DAY_S, CREATED_S + 3 * DAY_S), "", 6, 0),
    ]
    assert "canary" not in str(parts)


async def test_of_a_project_of_another_node_nothing_is_known(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as nodes:
        await Team(nodes[0], "AWAY", home="node:n2").founded()
        async with nodes[0].stub() as stub:
            request = learning_pb2.ListCycleTimesRequest(project_id="AWAY", as_of_s=NOW_S)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await anext(aiter(stub.ListCycleTimes(request, timeout=10)))
    assert from_rpc_error(refused.value).reason == "PROJECT_ELSEWHERE"
