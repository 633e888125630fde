"""A node that takes part in nothing pays nothing for learning."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.unit.agent.learning.bench import bench

from weftmesh.learning.v1 import learning_pb2


def test_a_daemon_that_starts_loads_no_part_of_learning() -> None:
    look = (
        "import sys, weftmesh.agent.compose as c; "
        "print([m for m in sys.modules if m.startswith(('weftmesh.core.aggregation', 'weftmesh.core.forecast', "
        "'weftmesh.agent.learning.assembly', 'weftmesh.agent.learning.statements', 'numpy', 'flwr'))])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


async def test_an_idle_node_has_no_task_and_no_connection_of_learning(tmp_path: Path) -> None:
    async with bench(tmp_path / "mesh") as nodes:
        before = asyncio.all_tasks()
        async with nodes[0].stub() as stub:
            duty = stub.WatchDuty(learning_pb2.WatchDutyRequest())
            assert (await duty.read()).leads
            duty.cancel()
            await stub.GetLearning(learning_pb2.GetLearningRequest(), timeout=20)
        await asyncio.sleep(0.1)
        assert not [task for task in asyncio.all_tasks() - before if "learning" in str(task.get_coro())]
        assert not list((nodes[0].config.node.data_dir).iterdir())
