"""What to do next for a job, from the replicated state alone: pure, so that any leader goes on where one stopped."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from weftmesh.coordinator.registry import HEADS, ROUNDS, JobState, added_s, is_seed, metric
from weftmesh.core.aggregation.terms import threshold_for
from weftmesh.core.learning.model import Evaluation, Job, Round, RoundKind, RoundStage, Version, VersionStage
from weftmesh.core.learning.moments import latest
from weftmesh.core.learning.privacy import budget_objection
from weftmesh.core.learning.promotion import objection

TRAINING_GAP_S: Final = 3_600.0
"""Rounds that follow each other sooner are one training, and read the tasks as of one moment."""

NOISE_DEVIATIONS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up a round that somebody left behind."""

    round_id: bytes
    why: str


@dataclass(frozen=True, slots=True)
class Seed:
    """Add the version that a training begins with."""


@dataclass(frozen=True, slots=True)
class Count:
    """A statistics round: it makes the first model of a training."""

    base: Version


@dataclass(frozen=True, slots=True)
class Train:
    """A training round."""

    base: Version


@dataclass(frozen=True, slots=True)
class MoveOn:
    """Add a version that no round made, since this one is closed to training."""

    base: Version


@dataclass(frozen=True, slots=True)
class Evaluate:
    """An evaluation round."""

    version: Version


@dataclass(frozen=True, slots=True)
class Activate:
    """Forecast with a version that was shown to be better than the baselines."""

    version: int
    expected_active: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Do nothing, for a reason that people understand."""

    why: str


Step = Abandon | Seed | Count | Train | MoveOn | Evaluate | Activate | Rest


def next_step(state: JobState, now_s: float, given_up: Collection[int] = (), lost: Collection[int] = ()) -> Step:
    """What to do for a job now. A round that is under way is one that nobody works on.

    Args:
        state: the job.
        now_s: Unix seconds.
        given_up: versions that could not be evaluated for now.
        lost: versions whose bytes no node has, as in a mesh that was restored from a backup.
    """
    job, spec = state.job, state.spec
    if not job.enabled:
        return Rest(f"job {job.name} is disabled")
    if spec is None or spec.head not in HEADS:
        head = "a newer release's" if spec is None else repr(spec.head[:40])
        return Rest(f"job {job.name} trains {head}, this release trains {', '.join(HEADS)}; upgrade, or mend the job")
    if (left := state.rounds.get(job.round_id)) is not None:
        return Abandon(left.id, _why_abandoned(left))
    step = _wanted(state, spec.goal_version, spec.evaluate_every, now_s, given_up)
    if isinstance(step, Train | MoveOn) and step.base.number in lost:
        return Seed()
    if isinstance(step, Count | Train | Evaluate) and len(state.contributors) < job.contributors_floor:
        return Rest(
            f"job {job.name} takes at least {job.contributors_floor} contributors and {len(state.contributors)} can be "
            f"asked now ({', '.join(state.contributors) or 'none'}): start more nodes, or let more take part"
        )
    if isinstance(step, Count | Train | Evaluate) and (spent := budget_objection(job)):
        return Rest(f"job {job.name} has used up its privacy budget: {spent}")
    return step


def is_due(state: JobState, now_s: float) -> bool:
    """Whether there is something to do."""
    return not isinstance(next_step(state, now_s), Rest)


def as_of_s(job: Job, base: Version, goal_version: int, now_s: float) -> int:
    """What is written later than this is not learned from in a round on `base`: the same in all rounds of a training.

    Args:
        job: whose round it is.
        base: the round's base version.
        goal_version: of the job.
        now_s: Unix seconds.
    """
    goes_on = base.as_of_s and base.number < goal_version and now_s - added_s(base) <= TRAINING_GAP_S
    return base.as_of_s if goes_on else latest(job.as_of_s, now_s)


def _wanted(state: JobState, goal: int, every: int, now_s: float, given_up: Collection[int]) -> Step:
    job, base = state.job, state.base
    due_s = added_s(base) + job.interval_s if base is not None else 0.0
    is_interval_due = job.interval_s > 0 and now_s >= due_s
    reached = job.newest_version >= goal and not is_interval_due
    if base is None:
        return Rest(f"job {job.name} has no goal") if reached else Seed()
    if (judging := _judging(state, base, goal, every, given_up)) is not None:
        return judging
    unjudged = _is_judged(base, goal, every) and _lost_judgement(state, base)
    if reached and base.contributors and not unjudged:
        later = f"; the next round is due in {due_s - now_s:.0f} s" if job.interval_s else ""
        return Rest(f"job {job.name} is at version {job.newest_version} of {goal}{later}")
    if is_seed(base):
        return Seed() if state.is_closed(RoundKind.STATISTICS, base.number) else Count(base)
    return MoveOn(base) if state.is_closed(RoundKind.TRAINING, base.number) else Train(base)


def _judging(state: JobState, base: Version, goal: int, every: int, given_up: Collection[int]) -> Step | None:
    """What an evaluation point asks for; None when it is over, or when `base` is none."""
    if base.stage is not VersionStage.CANDIDATE or not _is_judged(base, goal, every):
        return None
    found = state.evaluations.get(base.number)
    if found is not None:
        is_better = not objection(found) and _is_beyond_noise(state.job, found)
        return Activate(base.number, state.job.active_version) if is_better else None
    if base.number in given_up or state.is_closed(RoundKind.EVALUATION, base.number):
        return None
    return Evaluate(base)


def _is_judged(base: Version, goal: int, every: int) -> bool:
    """Whether it came of training, and of so much that it may be offered for activation."""
    trained = base.contributors > 0 and metric(base, ROUNDS, 0.0) >= 1
    return trained and (base.number >= goal or (every > 0 and base.number % every == 0))


def _is_beyond_noise(job: Job, found: Evaluation) -> bool:
    """Whether a gain is more than noise makes by chance, which at two standard deviations it does once in 44."""
    if job.noise is None:
        return True
    stayers = max(threshold_for(found.contributors), job.contributors_floor)
    # Each contributor's share is for the fewest who may stay; the gain is the difference of two noisy sums.
    deviation = job.noise.sigma * math.sqrt(2 * found.contributors / (stayers - job.noise.colluders))
    return all(head.baseline_loss - head.model_loss > NOISE_DEVIATIONS * deviation for head in found.heads)


def _lost_judgement(state: JobState, base: Version) -> bool:
    """An evaluation's sum went with the coordinator that had it: its version can never be judged."""
    return base.number not in state.evaluations and state.is_closed(RoundKind.EVALUATION, base.number)


def _why_abandoned(left: Round) -> str:
    who = f"{left.coordinator.node} of term {left.coordinator.term}"
    if left.stage is RoundStage.INTENT:
        return f"{who} had the sum and is gone: version {left.base_version} is closed to {left.kind.name.lower()}"
    return f"{who} left it behind; nothing of it was unmasked"
