"""Carries a job on, step by step, until there is nothing to do; what it knows it reads from the replicated state."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from time import time
from typing import Any, Final

import structlog

from weftmesh.coordinator.aggregated_round import RoundAbandonedError
from weftmesh.coordinator.answered import BaseAnsweredError, cause_of
from weftmesh.coordinator.backoff import Absentees, Pauses
from weftmesh.coordinator.courier import Courier, LeadershipLostError
from weftmesh.coordinator.heads import HEADS, seed
from weftmesh.coordinator.job_models import MODEL_NOT_FOUND, JobModels
from weftmesh.coordinator.mesh_rounds import MeshRounds, Office
from weftmesh.coordinator.registry import ROUNDS, VIEW_LIMIT, JobState, metric, read_job
from weftmesh.coordinator.rounds import Assignment, RoundRunner, limits_for, metrics_of
from weftmesh.coordinator.schedule import (
    Abandon,
    Activate,
    Count,
    Evaluate,
    MoveOn,
    Rest,
    Seed,
    Step,
    Train,
    as_of_s,
    next_step,
)
from weftmesh.core.errors import NotFoundError, WeftmeshError
from weftmesh.core.learning.drawing import drawn
from weftmesh.core.learning.model import AbandonCause, RoundKind, Version
from weftmesh.core.learning.moments import latest
from weftmesh.core.learning.outcomes import Reason
from weftmesh.learning.v1 import command_pb2, learning_pb2
from weftmesh.runtime.wire.learning_records import fill

FAILURES_MAX: Final = 3
"""In a row; then the process ends and a later one tries again."""
PASS_FIRST_S: Final = 0.1
PASS_MOST_S: Final = 5.0
"""After a round on a base version that contributors had answered: a mesh that is restored meets many of them in a row,
and a contributor that claims it of every one must not keep the log busy."""

log = structlog.get_logger("weftmesh.coordinator.job")


class JobRun:
    """One job, as long as this node leads in one term.

    Args:
        office: the coordinator's.
        name: of the job.
        still_leading: thread-safe and quick.
        rng: `secrets.SystemRandom()` in production.
        pauses: between a failure and the next attempt.
    """

    def __init__(
        self,
        office: Office,
        name: str,
        still_leading: Callable[[], bool],
        rng: random.Random,
        pauses: Pauses | None = None,
    ) -> None:
        self._office = office
        self._name = name
        self._still_leading = still_leading
        self._rng = rng
        self._pauses = pauses or Pauses(rng)
        self._passes = Pauses(rng, PASS_FIRST_S, PASS_MOST_S)
        self._absentees = Absentees()
        self._given_up: set[int] = set()
        self._lost: set[int] = set()
        self._models = JobModels(office, name)

    async def run(self) -> bool:
        """Go on until there is nothing to do; whether nothing was given up.

        Raises:
            LeadershipLostError: another node leads now.
            WeftmeshError: the last of FAILURES_MAX failures in a row.
        """
        while True:
            state = await self._read()
            step = next_step(state, time(), self._given_up, self._lost)
            if isinstance(step, Rest):
                log.info("resting", job=self._name, why=step.why)
                return not self._given_up
            try:
                await self._take(step, state)
            except LeadershipLostError:
                raise
            except BaseAnsweredError as error:
                await self._pass_on(error)
            except WeftmeshError as error:
                await self._bear(step, error)
            else:
                self._pauses.succeeded(type(step).__name__)

    async def _read(self) -> JobState:
        request = learning_pb2.GetLearningRequest(job=self._name, limit=VIEW_LIMIT)
        state = read_job(await self._office.learning.get_learning(request), self._name)
        if state is None:
            raise NotFoundError(f"there is no job {self._name}; define it first", reason=Reason.NO_SUCH_JOB.value)
        return state

    async def _take(self, step: Step, state: JobState) -> None:
        match step:
            case Abandon():
                log.warning("a round is given up", job=self._name, round=step.round_id.hex(), why=step.why)
                await self._office.abandon(self._name, step.round_id, step.why)
            case Seed():
                await self._models.add(seed(self._name, self._rng))
            case MoveOn():
                await self._move_on(step.base, state)
            case Count() | Train():
                await self._make(step, state)
            case Evaluate():
                await self._judge(step.version, state)
            case Activate():
                activation = command_pb2.ActivateVersion(
                    job=self._name,
                    coordinator=self._office.coordinator,
                    version=step.version,
                    expected_active=step.expected_active,
                )
                await self._office.propose(activate_version=activation)
                log.info("activated", job=self._name, version=step.version)

    async def _move_on(self, base: Version, state: JobState) -> None:
        moved = await self._moved_on(await self._models.of(base), state)
        log.warning("the base version is closed; going on beside it", job=self._name, closed=base.number)
        await self._models.add(moved, base.metrics, parent=base.number)

    async def _moved_on(self, model: bytes, state: JobState) -> bytes:
        """Another model near this one, for the next version."""
        spec = state.spec or learning_pb2.JobSpec()
        return await asyncio.to_thread(HEADS[spec.head].moved_on, model, state.job.newest_version + 1, spec)

    async def _make(self, step: Count | Train, state: JobState) -> None:
        """A round that makes a version."""
        kind = RoundKind.STATISTICS if isinstance(step, Count) else RoundKind.TRAINING
        moment_s = as_of_s(state.job, step.base, _goal(state), time())
        rounds = MeshRounds(self._office, state.job, kind, step.base.number, moment_s, self._rng)
        assignment = self._assignment(state, moment_s, rounds.next_id)
        runner = RoundRunner(assignment, rounds, self._courier(rounds, assignment))
        means: dict[str, float] = {}
        if isinstance(step, Count):
            model = await self._in_round(rounds, assignment, runner.count, self._rng)
            if state.knows(model):  # the same tasks were counted before
                model = await self._moved_on(model, state)
        else:
            base = await self._models.of(step.base)
            made = await self._in_round(rounds, assignment, runner.train, base)
            model = made.model
            means = {name: made.metrics[name] for name in assignment.head.train_metrics if name in made.metrics}
        behind = metric(step.base, ROUNDS, -1.0) + 1
        metrics = metrics_of(means, **{ROUNDS: behind})
        number = await self._settled(rounds, self._models.add(model, metrics, round_id=rounds.round_id))
        log.info("a version is made", job=self._name, version=number, kind=kind.name.lower(), **means)

    async def _judge(self, version: Version, state: JobState) -> None:
        moment_s = version.as_of_s or latest(state.job.as_of_s, time())
        rounds = MeshRounds(self._office, state.job, RoundKind.EVALUATION, version.number, moment_s, self._rng)
        assignment = self._assignment(state, moment_s, rounds.next_id)
        runner = RoundRunner(assignment, rounds, self._courier(rounds, assignment))
        model = await self._models.of(version)
        sums = await self._in_round(rounds, assignment, runner.evaluate, model)
        found = command_pb2.RecordEvaluation(
            job=self._name, coordinator=self._office.coordinator, round_id=rounds.round_id
        )
        fill(found.heads.add(), sums)
        await self._settled(rounds, self._office.propose(record_evaluation=found))
        log.info(
            "a version is judged",
            job=self._name,
            version=version.number,
            examples=sums.examples,
            model_loss=sums.model_loss,
            baseline_loss=sums.baseline_loss,
        )

    async def _in_round(
        self, rounds: MeshRounds, assignment: Assignment, work: Callable[..., Any], argument: object
    ) -> Any:
        """What `work` makes on a worker thread; a round that it leaves without a result is given up."""
        try:
            made = await asyncio.to_thread(work, argument)
        except LeadershipLostError:
            raise
        except WeftmeshError as error:
            cause = cause_of(error, assignment.contributors, assignment.job.contributors_floor)
            if rounds.round_id:
                await self._give_up(rounds.round_id, str(error), cause)
            if cause is AbandonCause.ANSWERED_BEFORE:
                raise BaseAnsweredError(str(error)) from error
            raise
        self._passes.succeeded(self._name)
        return made

    async def _settled(self, rounds: MeshRounds, result: Coroutine[Any, Any, Any]) -> Any:
        """What `result` answers; a round whose result cannot be written is given up."""
        try:
            return await result
        except WeftmeshError as error:
            await self._give_up(rounds.round_id, f"its result could not be kept: {error}")
            raise

    async def _give_up(self, round_id: bytes, why: str, cause: AbandonCause = AbandonCause.OTHER) -> None:
        try:
            await self._office.abandon(self._name, round_id, why, cause)
        except WeftmeshError as error:
            # The next step finds it under way, if it is.
            log.info("a round could not be given up", job=self._name, round=round_id.hex(), why=str(error))

    async def _pass_on(self, error: BaseAnsweredError) -> None:
        """A base version that is closed is no failure: the next step goes on beside it, after a short pause."""
        pause_s = self._passes.failed(self._name, time())
        log.warning("contributors know this base version", job=self._name, why=str(error), again_in_s=pause_s)
        await asyncio.sleep(pause_s)

    async def _bear(self, step: Step, error: WeftmeshError) -> None:
        """Wait after a failure.

        Raises:
            WeftmeshError: there were too many.
        """
        if error.reason == Reason.STALE_TERM:
            raise LeadershipLostError(str(error)) from error
        key = type(step).__name__
        if isinstance(error, RoundAbandonedError):
            self._absentees.note(error.missing, time())
        pause_s = self._pauses.failed(key, time())
        log.warning("failed", job=self._name, step=key, why=str(error), reason=error.reason, again_in_s=pause_s)
        if self._pauses.failures(key) >= FAILURES_MAX:
            self._go_without(step, error)
            self._pauses.succeeded(key)
            return
        await asyncio.sleep(pause_s)

    def _go_without(self, step: Step, error: WeftmeshError) -> None:
        """Take note of what there will not be.

        Raises:
            WeftmeshError: the error itself, where the job cannot go on without.
        """
        if isinstance(step, Evaluate):
            self._given_up.add(step.version.number)
        elif isinstance(step, Train | MoveOn) and error.reason == MODEL_NOT_FOUND:
            log.warning("no node has the model; the training begins anew", job=self._name, version=step.base.number)
            self._lost.add(step.base.number)
        else:
            raise error

    def _assignment(self, state: JobState, moment_s: int, round_id: bytes) -> Assignment:
        spec = state.spec or learning_pb2.JobSpec()
        present = self._absentees.present(state.contributors, state.job.contributors_floor, time())
        return Assignment(state.job, spec, HEADS[spec.head], drawn(round_id, present), moment_s)

    def _courier(self, rounds: MeshRounds, assignment: Assignment) -> Courier:
        return Courier(self._office.loop, rounds, self._still_leading, limits_for(assignment.timeouts))


def _goal(state: JobState) -> int:
    return state.spec.goal_version if state.spec is not None else 0
