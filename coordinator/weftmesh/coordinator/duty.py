"""What a coordinator does with its time: nothing while its node does not lead; while it does, one job after
another, and a look at the agreements every five minutes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from time import time
from typing import Final

import structlog

from weftmesh.client import Client
from weftmesh.client.learning import LearningApi
from weftmesh.client.retry import Backoff
from weftmesh.coordinator.backoff import Pauses
from weftmesh.coordinator.children import RunChild
from weftmesh.coordinator.exit_codes import DONE
from weftmesh.coordinator.metrics import CoordinatorMeter
from weftmesh.coordinator.registry import VIEW_LIMIT, JobState, read_job
from weftmesh.coordinator.schedule import Rest, next_step
from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.learning.v1 import learning_pb2

POLL_S: Final = 2.0
"""Between two looks at the jobs of a node that leads; a look costs its agent about a millisecond."""

Connect = Callable[[], AbstractAsyncContextManager[Client]]

log = structlog.get_logger("weftmesh.coordinator")


class Coordinator:
    """The duties of whoever leads, beside one node: learning and agreements.

    Args:
        connect: makes a client of the local node.
        run_child: carries a job on.
        rng: `secrets.SystemRandom()` in production.
        poll_s: see POLL_S.
        meter: told what it does.
    """

    def __init__(
        self,
        connect: Connect,
        run_child: RunChild,
        rng: random.Random,
        poll_s: float = POLL_S,
        meter: CoordinatorMeter | None = None,
    ) -> None:
        self._connect = connect
        self._run_child = run_child
        self._pauses = Pauses(rng)
        self._poll_s = poll_s
        self._meter = meter or CoordinatorMeter()
        self._told: dict[str, str] = {}
        self._tried: dict[str, float] = {}

    async def run(self) -> None:
        """Go on for ever; a node that goes away is waited for."""
        backoff = Backoff()
        while True:
            try:
                async with self._connect() as client:
                    await self._follow(client, backoff)
            except* WeftmeshError as errors:
                log.info("the node does not answer", why="; ".join(map(str, errors.exceptions)))
            await asyncio.sleep(backoff.next_pause_s())

    async def _follow(self, client: Client, backoff: Backoff) -> None:
        """Lead whenever the node does, until it is gone."""
        # The group ends this process if leading fails in a way that nobody foresaw: it must not stop unnoticed.
        async with asyncio.TaskGroup() as group, aclosing(client.learning.watch_duty()) as duties:
            leading: list[asyncio.Task[None]] = []
            try:
                async for duty in duties:
                    backoff.reset()
                    await _stopped(leading)
                    leading = []
                    self._meter.duty(leads=duty.leads)
                    log.info("duty", leads=duty.leads, term=duty.term, leader=duty.leader)
                    if duty.leads:
                        leading = [
                            group.create_task(self._lead(client.learning, duty.term)),
                            group.create_task(_see_to_agreements(client, self._meter)),
                        ]
            finally:
                await _stopped(leading)
                self._meter.duty(leads=False)

    async def _lead(self, learning: LearningApi, term: int) -> None:
        while True:
            try:
                job = self._next_job(await self._jobs(learning))
                if job is not None:
                    await self._carry_on(job, term)
            except WeftmeshError as error:
                log.info("the jobs cannot be read", why=str(error))
            except OSError as error:
                log.warning("a job's process cannot be started", why=str(error))
            except Exception:  # whatever it is: nobody waits for this task, and a duty that ended would go unnoticed
                log.exception("a look at the jobs failed")
            await asyncio.sleep(self._poll_s)

    async def _jobs(self, learning: LearningApi) -> Mapping[str, JobState]:
        """Every job that can be read; the contributors of each are asked for by name, since opt-outs are by job."""
        overview = await learning.get_learning(learning_pb2.GetLearningRequest(limit=1))
        found = {}
        for row in overview.jobs:
            view = await learning.get_learning(learning_pb2.GetLearningRequest(job=row.name, limit=VIEW_LIMIT))
            try:
                state = read_job(view, row.name)
            except InvalidInputError as error:
                self._tell(row.name, f"this release cannot read it, upgrade this node: {error}")
            else:
                found.update({} if state is None else {row.name: state})
        return found

    def _next_job(self, jobs: Mapping[str, JobState]) -> str | None:
        """Of those that have something to do and are not paused, the one that was tried longest ago."""
        now_s, due = time(), []
        for name, state in jobs.items():
            step = next_step(state, now_s)
            if isinstance(step, Rest):
                self._tell(name, step.why)
            elif self._pauses.may_try(name, now_s):
                due.append(name)
        return min(due, key=lambda name: (self._tried.get(name, 0.0), name), default=None)

    async def _carry_on(self, job: str, term: int) -> None:
        self._told.pop(job, None)
        self._tried[job] = time()
        log.info("a job is carried on", job=job, term=term)
        code = await self._run_child(job, term)
        if code == DONE:
            self._meter.runs["done"] += 1
            self._pauses.succeeded(job)
        else:
            self._meter.runs["failed"] += 1
            pause_s = self._pauses.failed(job, time())
            log.warning("a job's process ended early", job=job, code=code, again_in_s=round(pause_s, 1))

    def _tell(self, job: str, why: str) -> None:
        """Say why a job rests, once."""
        told = why.partition("; the next round")[0]
        if self._told.get(job) != told:
            self._told[job] = told
            log.info("a job rests", job=job, why=why)


async def _see_to_agreements(client: Client, meter: CoordinatorMeter) -> None:
    # Calendars take a few MiB, which a coordinator beside a node that never leads does not need.
    from weftmesh.coordinator.ola.duty import OlaDuty

    await OlaDuty(client, meter=meter).run()


async def _stopped(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
