"""A coordinator leads when its node does, one job at a time, and stands down at once; over a real socket."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs
from tests.unit.coordinator.job_states import JOB, NODES, JobLog

from weftmesh.client import connect
from weftmesh.coordinator.children import ChildProcess
from weftmesh.coordinator.duty import Coordinator
from weftmesh.coordinator.exit_codes import DONE, FAILED, STOPPED
from weftmesh.core.learning import commands
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.wire.learning_views import learning_view

POLL_S = 0.01
PATIENCE_S = 30.0
"""For what has to come at last; the first look at agreements loads much, on the loop that is waited for."""


class Node(learning_pb2_grpc.LearningServiceServicer):  # type: ignore[misc]
    """What a coordinator sees of its node."""

    def __init__(self, log: JobLog) -> None:
        self.log = log
        self.duties: asyncio.Queue[learning_pb2.Duty] = asyncio.Queue()
        self.contributors: tuple[str, ...] = NODES
        self.watchers = 0

    def tell(self, leads: bool, term: int) -> None:
        self.duties.put_nowait(learning_pb2.Duty(leads=leads, term=term, node="node1"))

    async def WatchDuty(self, _request: Any, _context: Any) -> AsyncIterator[learning_pb2.Duty]:  # noqa: N802
        self.watchers += 1
        while True:
            yield await self.duties.get()

    async def GetLearning(self, request: Any, _context: Any) -> learning_pb2.Learning:  # noqa: N802
        view = learning_view(self.log.machine, request.job, request.limit)
        view.contributors.extend(self.contributors)
        return view


@dataclass
class Children:
    """Implements RunChild."""

    code: int = DONE
    lasts: bool = False
    started: list[tuple[str, int]] = field(default_factory=list)
    under_way: int = 0

    async def __call__(self, job: str, term: int) -> int:
        self.started.append((job, term))
        self.under_way += 1
        assert self.under_way == 1, "one at a time"
        try:
            await asyncio.sleep(3_600 if self.lasts else 0)
        finally:
            self.under_way -= 1
        return self.code


@asynccontextmanager
async def serving(node: Node, directory: Path) -> AsyncIterator[str]:
    server = grpc.aio.server()
    learning_pb2_grpc.add_LearningServiceServicer_to_server(node, server)
    path = str(directory / "api.sock")
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield path
    finally:
        await server.stop(None)


@asynccontextmanager
async def beside(node: Node, children: Children, directory: Path) -> AsyncIterator[None]:
    async with serving(node, directory) as path:
        coordinator = Coordinator(lambda: connect(path), children, random.Random(1), POLL_S)
        running = asyncio.create_task(coordinator.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def settle(children: Children, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if len(children.started) >= count:
                return
            await asyncio.sleep(POLL_S)


def due_job() -> JobLog:
    return JobLog(JobSpec(head="effort", goal_version=4))


async def test_nothing_runs_beside_a_node_that_does_not_lead(tmp_path: Path) -> None:
    node, children = Node(due_job()), Children()
    async with beside(node, children, tmp_path):
        node.tell(False, 1)
        await asyncio.sleep(20 * POLL_S)
        assert not children.started


async def test_a_job_is_carried_on_in_the_term_and_stopped_with_it(tmp_path: Path) -> None:
    node, children = Node(due_job()), Children(lasts=True)
    async with beside(node, children, tmp_path):
        node.tell(True, 7)
        await settle(children, 1)
        assert children.started == [(JOB, 7)]
        node.tell(True, 9)
        await settle(children, 2)
        assert children.started[1] == (JOB, 9)
        node.tell(False, 10)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if not children.under_way:
                    break
                await asyncio.sleep(POLL_S)
        await asyncio.sleep(20 * POLL_S)
        assert len(children.started) == 2


async def test_a_job_whose_process_failed_is_not_tried_again_at_once(tmp_path: Path) -> None:
    node, children = Node(due_job()), Children(code=FAILED)
    async with beside(node, children, tmp_path):
        node.tell(True, 1)
        await settle(children, 1)
        await asyncio.sleep(20 * POLL_S)
        assert len(children.started) == 1


async def test_a_job_without_enough_contributors_waits_for_them(tmp_path: Path) -> None:
    log = due_job()
    log.begin()
    node, children = Node(log), Children(lasts=True)
    node.contributors = NODES[:2]
    async with beside(node, children, tmp_path):
        node.tell(True, 1)
        await asyncio.sleep(20 * POLL_S)
        assert not children.started
        node.contributors = NODES
        await settle(children, 1)


async def test_a_disabled_job_is_left_alone(tmp_path: Path) -> None:
    log = due_job()
    log.apply(commands.SwitchJob, enabled=False)
    node, children = Node(log), Children()
    async with beside(node, children, tmp_path):
        node.tell(True, 1)
        await asyncio.sleep(20 * POLL_S)
        assert not children.started


@pytest.mark.timeout(60)
async def test_a_real_child_of_a_node_that_does_not_lead_ends_by_itself(tmp_path: Path) -> None:
    node = Node(due_job())
    async with serving(node, tmp_path) as path:
        node.tell(False, 1)
        assert await ChildProcess(path)(JOB, 1) == STOPPED


@pytest.mark.timeout(60)
async def test_a_real_child_ends_when_it_is_not_wanted_any_more(tmp_path: Path) -> None:
    node = Node(due_job())
    async with serving(node, tmp_path) as path:
        running = asyncio.create_task(ChildProcess(path)(JOB, 1))
        async with asyncio.timeout(30.0):
            while True:
                if node.watchers:
                    break
                await asyncio.sleep(POLL_S)
        running.cancel()
        async with asyncio.timeout(5.0):
            await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()


async def test_a_duty_outlives_what_nobody_thought_of(tmp_path: Path) -> None:
    class Broken(Children):
        async def __call__(self, job: str, term: int) -> int:
            await super().__call__(job, term)
            raise RuntimeError("a fault of this release")

    node, children = Node(due_job()), Broken()
    async with beside(node, children, tmp_path):
        node.tell(True, 1)
        await settle(children, 2)


async def test_a_node_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    children = Children(lasts=True)
    running = asyncio.create_task(
        Coordinator(lambda: connect(str(tmp_path / "api.sock")), children, random.Random(1), POLL_S).run()
    )
    try:
        for attempt in (1, 2):
            node = Node(due_job())
            async with serving(node, tmp_path):
                node.tell(True, attempt)
                await settle(children, attempt)
        assert children.started == [(JOB, 1), (JOB, 2)]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_job_of_a_newer_release_is_named_and_stops_no_other(tmp_path: Path) -> None:
    class Newer(Node):
        async def GetLearning(self, request: Any, context: Any) -> learning_pb2.Learning:  # noqa: N802
            view = await super().GetLearning(request, context)
            if not request.job or request.job == "another":
                view.jobs.add(name="another")
                view.rounds.add(job="another", kind=99)
            return view

    node, children = Newer(due_job()), Children(lasts=True)
    with capture_logs() as said:
        async with beside(node, children, tmp_path):
            node.tell(True, 1)
            await settle(children, 1)
    assert children.started == [(JOB, 1)]
    (rests,) = [line for line in said if line["event"] == "a job rests"]
    assert rests["job"] == "another"
    assert "upgrade" in rests["why"]
