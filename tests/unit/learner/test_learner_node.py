"""What the learner makes of the node's answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
from tests.fakes.attended_node import ScriptedNode

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.client import connect
from weftmesh.core.aggregation.keys import key_statement
from weftmesh.core.aggregation.messages import KeyAdvertisement, UnmaskIntent
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.aggregation.terms import CONTRIBUTORS_MAX, RoundTerms
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.local_node import LABELLED, LocalNode, view_of
from weftmesh.learner.node import JobView
from weftmesh.learning.v1 import command_pb2, learning_pb2, learning_pb2_grpc, row_pb2
from weftmesh.runtime.rpc import MESSAGE_BYTES_MAX

ROUND_ID = bytes(16)
ROW = row_pb2.UnmaskIntent(
    job="estimates",
    kind=int(RoundKind.TRAINING),
    base_version=4,
    round_id=ROUND_ID,
    roster_sha256=bytes(32),
    active=["n1", "n2"],
    dead=["n3"],
    coordinator=command_pb2.Coordinator(node="n1", term=9),
)
INTENT = UnmaskIntent("estimates/training", 4, ROUND_ID, bytes(32), ("n1", "n2"), ("n3",), 9)


def learning() -> learning_pb2.Learning:
    spec = learning_pb2.JobSpec(head="effort").SerializeToString()
    return learning_pb2.Learning(
        term=9,
        jobs=[row_pb2.Job(name="estimates", spec=spec, enabled=True)],
        versions=[row_pb2.Version(job="estimates", number=4, sha256=b"x" * 32)],
        intents=[ROW],
        trained_projects=["FW", "WEB"],
    )


def test_a_job_is_seen_as_the_replica_has_it() -> None:
    view = view_of(learning(), "estimates", "n1")
    assert view == JobView(9, "effort", True, False, ("FW", "WEB"), {4: b"x" * 32}, (INTENT,))


def test_a_job_that_the_replica_has_not_is_not_enabled() -> None:
    assert view_of(learning(), "other", "n1") == JobView(9)


def test_an_opt_out_of_this_job_or_of_all_counts_and_that_of_another_node_does_not() -> None:
    for job, node, out in (("estimates", "n1", True), ("", "n1", True), ("other", "n1", False), ("", "n2", False)):
        said = learning()
        said.opt_outs.append(row_pb2.OptOut(node=node, job=job))
        assert view_of(said, "estimates", "n1").opted_out is out


def test_a_specification_that_cannot_be_read_has_no_head() -> None:
    said = learning()
    said.jobs[0].spec = b"\xff\xff"
    assert view_of(said, "estimates", "n1").head == ""


class Node(ScriptedNode):
    async def AwaitIntent(self, request: Any, context: Any) -> learning_pb2.AwaitIntentResponse:  # noqa: N802
        known = (request.job, request.round_kind, request.round_id) == ("estimates", 1, ROUND_ID)
        return learning_pb2.AwaitIntentResponse(intent=ROW if known else None)

    async def CheckStatements(self, request: Any, context: Any) -> learning_pb2.CheckStatementsResponse:  # noqa: N802
        verdicts = [learning_pb2.StatementVerdict(genuine=one.signature == signed(one)) for one in request.statements]
        return learning_pb2.CheckStatementsResponse(verdicts=verdicts)


def signed(one: learning_pb2.SignedStatement | SignedStatement) -> bytes:
    return sha256(one.statement).digest()


class Board(board_pb2_grpc.BoardServiceServicer):  # type: ignore[misc]
    async def ListTasks(self, request: Any, context: Any) -> board_pb2.ListTasksResponse:  # noqa: N802
        assert (request.parent, request.filter) == ("projects/FW", LABELLED)
        name = "projects/FW/tasks/" + ("2" if request.page_token else "1")
        task = board_pb2.Task(name=name, version=3, title="a", description="b", estimate=5.0)
        task.create_time.FromSeconds(1_000)
        task.update_time.FromSeconds(2_000)
        if request.page_token:
            task.custom["created"] = "1970-01-01T00:00:07+00:00"
        return board_pb2.ListTasksResponse(tasks=[task], next_page_token="" if request.page_token else "more")


async def test_calls_of_the_worker_thread_are_carried_out_on_the_loop(tmp_path: Path) -> None:
    server = grpc.aio.server()
    learning_pb2_grpc.add_LearningServiceServicer_to_server(Node(), server)
    board_pb2_grpc.add_BoardServiceServicer_to_server(Board(), server)
    server.add_insecure_port(f"unix:{tmp_path}/api.sock")
    await server.start()
    async with connect(f"{tmp_path}/api.sock") as client:
        node = LocalNode("n1", client, asyncio.get_running_loop())
        shown = await asyncio.to_thread(node.shown_intent, "estimates", RoundKind.TRAINING, ROUND_ID, 4, 0.5)
        assert shown == INTENT
        assert await asyncio.to_thread(node.shown_intent, "estimates", RoundKind.EVALUATION, ROUND_ID, 4, 0.5) is None
        first, second = await asyncio.to_thread(node.labelled_tasks, "FW")
    await server.stop(None)
    assert (first.name, first.version, first.created_s, first.updated_s) == ("projects/FW/tasks/1", 3, 1_000, 2_000)
    assert (first.effort, first.text.title, first.text.description) == (5.0, "a", "b")
    assert second.created_s == 7, "an imported task is as old as it was where it came from"
    assert "title" not in repr(first)


async def test_the_roster_of_the_largest_round_with_the_longest_names_is_checked(tmp_path: Path) -> None:
    names = tuple(f"{number:03}{'x' * 60}" for number in range(CONTRIBUTORS_MAX))
    terms = RoundTerms(ROUND_ID, "estimates/training", 4, 9, names, 129, 3, 16_395)
    claims = []
    for number, name in enumerate(names):
        keys = KeyAdvertisement(ROUND_ID, name, bytes(32), bytes(32), number.to_bytes(32, "big"), b"")
        unsigned = SignedStatement(name, key_statement(terms, keys), b"")
        claims.append(replace(unsigned, signature=b"forged" if number == 100 else signed(unsigned)))
    assert sum(len(one.statement) for one in claims) > MESSAGE_BYTES_MAX
    server = grpc.aio.server()
    learning_pb2_grpc.add_LearningServiceServicer_to_server(Node(), server)
    server.add_insecure_port(f"unix:{tmp_path}/api.sock")
    await server.start()
    async with connect(f"{tmp_path}/api.sock") as client:
        node = LocalNode("n1", client, asyncio.get_running_loop())
        genuine = await asyncio.to_thread(node.verify, claims)
    await server.stop(None)
    assert [number for number, one in enumerate(genuine) if not one] == [100]
    assert len(genuine) == CONTRIBUTORS_MAX
