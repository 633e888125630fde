"""What deciding and auditing cost a call: `python -m benchmarks.access`.

In one process, over a log in memory and a file without fsync: the processor's time, not the disk's.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.unit.agent.access.access_bench import ANN, AccessBench

from weftmesh.access.v1 import access_pb2
from weftmesh.agent.access.authorizing import Decision
from weftmesh.agent.access.journal import Note
from weftmesh.agent.access.permissions import RULES
from weftmesh.agent.audit_log.log import AuditLog
from weftmesh.agent.audit_log.retention import Retention
from weftmesh.agent.audit_log.room import AUDIT
from weftmesh.agent.chain.appending import Chain
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.board.v1 import board_pb2
from weftmesh.core.access.roles import Role
from weftmesh.core.audit_log.entries import Content
from weftmesh.core.board.commands import CreateProject, CreateTask, Header
from weftmesh.runtime.clock import wall_us

CALLS = 20_000
RUNS = 7
TASK_ID = "0" * 25 + "1"
UPDATE = "/weftmesh.board.v1.BoardService/UpdateTask"


def microseconds(work: Callable[[], object]) -> float:
    """Median over runs of one call's processor time, in microseconds."""
    taken = []
    for _ in range(RUNS):
        gc.collect()
        began_s = time.process_time()
        for _ in range(CALLS):
            work()
        taken.append((time.process_time() - began_s) / CALLS * 1e6)
    return statistics.median(taken)


def request() -> board_pb2.UpdateTaskRequest:
    """A write of one field."""
    task = board_pb2.Task(name=f"projects/PROJ/tasks/{TASK_ID}", status=board_pb2.TASK_STATUS_DONE)
    update = board_pb2.UpdateTaskRequest(task=task, request_id="6b0f5d3e-8f0c-4a8e-9f53-0d6c5f1a2b3c")
    update.update_mask.paths.append("status")
    return update


def decisions(directory: Path) -> None:
    """Print what a decision takes, without roles and with them."""
    bench = AccessBench(directory)
    bench.homes.mesh.board.apply(CreateProject(Header("ann@n1", 1), "PROJ", "Project"))
    bench.homes.mesh.board.apply(CreateTask(Header("ann@n1", 2), "PROJ", TASK_ID, {"title": "a task"}))
    rule, update, authorizer = RULES[UPDATE], request(), bench.authorizer
    print(f"decision, no roles:           {microseconds(lambda: authorizer.admit(rule, update, ANN)):6.2f} us")
    bench.grant("user:root", Role.ADMIN)
    for number in range(1_000):
        bench.grant(f"user:u{number}", Role.EDITOR, "PROJ")
    bench.grant("user:ann", Role.EDITOR, "PROJ")
    print(f"decision, 1,002 bindings:     {microseconds(lambda: authorizer.admit(rule, update, ANN)):6.2f} us")


async def records(directory: Path) -> None:
    """Print what a record takes on the event loop, and in the thread."""
    chain: Chain[Content] = Chain.open(directory / "audit", AUDIT, SystemDisk(fsync=False))
    log = AuditLog(chain, Retention(400, 2**40), waiting_max=2**40)
    update, open_ = request(), Decision(True, access_pb2.BASIS_OPEN)
    took = microseconds(lambda: log.note(Note(wall_us(), ANN, b"", UPDATE, update, None, None, open_)))
    print(f"record, on the event loop:    {took:6.2f} us")
    began_s = time.process_time()
    await log.flush()
    count = log.head.sequence
    print(f"record, in the writer thread: {(time.process_time() - began_s) / count * 1e6:6.2f} us")
    size_bytes = sum(path.stat().st_size for path in AUDIT.paths(directory / "audit"))
    print(f"record, on disk:              {size_bytes / count:6.0f} bytes")
    await log.close()


def main() -> None:
    """Measure both."""
    with tempfile.TemporaryDirectory() as directory:
        decisions(Path(directory))
        asyncio.run(records(Path(directory)))


if __name__ == "__main__":
    main()
