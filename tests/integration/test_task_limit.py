"""A node that may start no further thread goes on: what it needs threads for has them from its start."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from tests.integration.task_limit import no_further_task

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import dev_mesh

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def create(number: int) -> board_pb2.CreateTaskRequest:
    return board_pb2.CreateTaskRequest(parent="projects/FULL", task=board_pb2.Task(title=f"task {number}"))


async def test_a_node_at_its_limit_of_tasks_acknowledges_reads_its_logs_and_stops_in_order(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path, 1) as mesh:
        node = mesh.first
        with no_further_task(node.pid):
            async with node.client() as client:
                project = board_pb2.Project(title="full")
                await client.board.create_project(board_pb2.CreateProjectRequest(project_id="FULL", project=project))
                for _ in range(20):  # journals and whoever reads them want threads at the same time
                    answers, audited, ledger = await asyncio.gather(
                        client.write_many([create(number) for number in range(50)]),
                        client.audit_log.verify(timeout_s=30),
                        client.privacy.verify(timeout_s=30),
                    )
                    assert [type(one) for one in answers] == [board_pb2.WriteApplied] * 50
                    assert (audited.passed, ledger.passed) == (True, True)
                await client.audit.run_audit(timeout_s=30)
            node.send_signal(signal.SIGTERM)
            assert await node.ended(30), node.last_words()
        words = node.last_words(20_000)
        assert "cannot go on" not in words, words
        assert "Traceback" not in words, words
