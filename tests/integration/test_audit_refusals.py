"""What a node's limits turn away is in its audit log, once and with a count, however often it was tried."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.integration.command_line import weftmesh

from weftmesh.access.v1 import audit_log_pb2
from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.core.errors import OverloadedError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
READS = 150


def with_low_limits(node: DevNode) -> None:
    node.environment["WEFTMESH_LIMITS_READS_PER_S"] = "20"


async def test_a_caller_beyond_the_rate_is_in_the_audit_log_once_with_a_count(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path, 1, place=with_low_limits) as mesh, mesh.first.client() as client:
        nothing = await weftmesh(mesh.first, "audit", "ls", "--denied")
        assert (nothing.code, nothing.out) == (0, "")
        assert "no record that fits" in nothing.err
        # Each is repeated by the client until it is let in.
        asked = (client.board.list_projects(board_pb2.ListProjectsRequest(), timeout_s=30) for _ in range(READS))
        await asyncio.gather(*asked)
        request = audit_log_pb2.ReadAuditLogRequest(denied_only=True)
        async with asyncio.timeout(60):
            while True:
                await asyncio.sleep(1)  # the caller has to wait as others do
                try:
                    records = [json.loads(one.payload) async for one in client.audit_log.read(request, timeout_s=10)]
                    break
                except OverloadedError:
                    continue
        assert [(one["reason"], one["outcome"]) for one in records] == [("RATE_LIMITED", "denied")]
        assert records[0]["actor"].endswith(f"@{mesh.first.name}")
        assert records[0]["from"].startswith("uid=")
