"""The invariants of a scheduler. What they say here in a few lines, the rest of the package keeps true."""

# ruff: noqa: S101 - assertions are what this module is for

from __future__ import annotations

import itertools
from collections.abc import Mapping

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.model import State
from weftmesh.core.schedule.queue import ClassQueue, Known


def check_jobs(jobs: Mapping[int, Known], queues: Mapping[ServiceClass, ClassQueue], running: int | None) -> None:
    """Asserts that every job is where its state says, and queues are in the order in which jobs became ready."""
    for number, known in jobs.items():
        assert number == known.job.id, f"{known.job.name} is kept as job {number}"
        assert known.state is not State.ENDED, f"{known.job.name} ended and is still known"
        assert (number == running) == (known.state is State.RUNNING), f"{known.job.name} is {known.state.value}"
        holding = [one for one, queue in queues.items() if number in queue]
        assert holding == ([known.runs_in] if known.state is State.READY else []), f"{known.job.name} is in {holding}"
        assert known.job.service_class - known.runs_in in (0, 1), f"{known.job.name} runs in {known.runs_in.name}"
    assert running is None or running in jobs, "somebody runs who is not known"
    assert sum(map(len, queues.values())) == sum(one.state is State.READY for one in jobs.values()), (
        "a queue holds more"
    )
    for queue in queues.values():
        waiting = queue.waiting()
        assert all(one.order < other.order for one, other in itertools.pairwise(waiting)), "the oldest is not first"
        assert all(one.since_s <= other.since_s for one, other in itertools.pairwise(waiting)), "ages are not in order"
