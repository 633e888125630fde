"""A change that is only tried: answered as if, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from tests.unit.agent.learning.bench import JOB, bench

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.command_pb2 import DefineJob, RetireVersion
from weftmesh.runtime.rpc import from_rpc_error

DEFINE = DefineJob(job=JOB, contributors_floor=3, threshold_percent=60)


async def test_a_tried_change_is_answered_as_if_and_not_written(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as nodes, nodes[0].stub() as stub:
        tried = learning_pb2.ChangeLearningRequest(define_job=DEFINE, request_id=str(uuid4()), validate_only=True)
        answer = await stub.ChangeLearning(tried, timeout=10)
        assert (answer.kind, answer.subject, answer.current_version) == (OutcomeKind.APPLIED, JOB, 1)
        assert not nodes[0].engine.proposals
        assert nodes[0].machine.learning.job(JOB) is None

        tried.validate_only = False
        assert (await stub.ChangeLearning(tried, timeout=10)).kind == OutcomeKind.APPLIED
        assert nodes[0].machine.learning.job(JOB) is not None


async def test_a_tried_change_that_would_be_refused_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as nodes, nodes[0].stub() as stub:
        retire = RetireVersion(job=JOB, version=1, why="a test")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ChangeLearning(
                learning_pb2.ChangeLearningRequest(retire_version=retire, validate_only=True), timeout=10
            )
        assert from_rpc_error(refused.value).reason == "NO_SUCH_JOB"
