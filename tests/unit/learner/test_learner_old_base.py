"""A round may begin at a version that many newer ones have followed, as after a rollback."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

from tests.unit.agent.learning.bench import JOB, bench

from weftmesh.client import connect
from weftmesh.core.learning.model import Limits
from weftmesh.learner.local_node import LocalNode
from weftmesh.learning.v1 import command_pb2, learning_pb2


async def test_a_learner_is_told_of_any_version_that_its_node_keeps_and_of_no_other(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as (node,), connect(str(node.socket)) as client:
        define = command_pb2.DefineJob(job=JOB, contributors_floor=3, threshold_percent=60)
        await client.learning.change_learning(learning_pb2.ChangeLearningRequest(define_job=define))
        for number in range(Limits.VERSIONS_KEPT):
            version = command_pb2.AddVersion(
                job=JOB,
                coordinator=command_pb2.Coordinator(node=node.name, term=node.engine.term),
                sha256=sha256(bytes([number])).digest(),
                size_bytes=1,
                blob_holders=1,
            )
            command = command_pb2.LearningCommand(add_version=version)
            await client.learning.propose(learning_pb2.ProposeRequest(command=command))
        local = LocalNode(node.name, client, asyncio.get_running_loop())
        for number in (1, Limits.VERSIONS_KEPT):
            view = await asyncio.to_thread(local.job, JOB, number)
            assert view.versions == {number: sha256(bytes([number - 1])).digest()}
        assert not (await asyncio.to_thread(local.job, JOB, 0)).versions
