"""`weftmesh learn run`, `promote`, `rollback`, `opt-out` and `opt-in`: what people decide about learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from weftmesh.cli.encoding import to_json
from weftmesh.cli.learning_text import NO_LEARNER, STARTING_VERSIONS, goal_text, has_learner, spec_of
from weftmesh.cli.noise_options import noise_options, policy
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session
from weftmesh.client.requests import new_request_id
from weftmesh.core.errors import NotFoundError, PreconditionError
from weftmesh.core.forecast import finish_averaging
from weftmesh.core.learning.model import Limits, VersionStage
from weftmesh.learning.v1 import learning_pb2, row_pb2
from weftmesh.learning.v1.command_pb2 import ActivateVersion, DefineJob, RollBack, SetOptOut

if TYPE_CHECKING:
    from weftmesh.client import Client

ROUNDS_DEFAULT: Final[Mapping[str, int]] = {"effort": 60, "finish": finish_averaging.ROUNDS}
"""What a job may be made for; it has the same name. The rounds are those that docs/forecasts.md measures."""
_DEFAULTS: Final = ", ".join(f"{rounds} for {head}" for head, rounds in ROUNDS_DEFAULT.items())
THRESHOLD_PERCENT: Final = 60
VERSIONS_READ: Final = 100
"""More than are kept of one job."""


@command(None, "run")
@click.argument("job")
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    help=f"So many versions more than now.  [default: {_DEFAULTS}]",
)
@noise_options
@dry_run_option
async def run(session: Session, job: str, rounds: int | None, dry_run: bool, **noise: Any) -> None:
    """Raise the goal of JOB; make the job first if there is none. The node that leads carries the rounds out.

    A new job takes at least three contributors: with two, each would learn the other's part from the sum. While a
    round is under way a job cannot be changed; try again after it.

    With --epsilon every node clips what it sends and adds noise. What is promised is for a node as a whole, and what a
    few nodes learn under such noise is little: see docs/security.md before you choose.
    """
    async with session.client() as client:
        view = await _learning(session, client, job)
        define = _raised(view.jobs[0], rounds) if view.jobs else _new(job, rounds)
        _promise(define, view, **noise)
        answer = await _change(session, client, dry_run, define_job=define)
    goal = learning_pb2.JobSpec.FromString(define.spec).goal_version
    newest = view.jobs[0].newest_version if view.jobs else 0
    _show(session, answer, dry_run, f"job {job}", f"trained on to version {goal}; it is at {newest}")
    session.output.note(goal_text(newest, goal))
    if not has_learner(session.target()):
        session.output.note(NO_LEARNER)


@command(None, "promote")
@click.argument("job")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--unevaluated", is_flag=True, help="Take it though nothing shows that it beats the teams' medians.")
@dry_run_option
async def promote(session: Session, job: str, version: int, unevaluated: bool, dry_run: bool) -> None:
    """Forecast with candidate VERSION of JOB from now on, on every node."""
    async with session.client() as client:
        active = _known(await _learning(session, client, job), job).active_version
        change = ActivateVersion(job=job, version=version, expected_active=active, unevaluated=unevaluated)
        answer = await _change(session, client, dry_run, activate_version=change)
    _show(session, answer, dry_run, f"version {version} of job {job}", f"active in place of {active or 'none'}")


@command(None, "rollback")
@click.argument("job")
@click.argument("version", type=click.IntRange(min=0), required=False)
@click.option("--why", default="asked for on the command line", show_default=True, help="For the history.")
@dry_run_option
async def rollback(session: Session, job: str, version: int | None, why: str, dry_run: bool) -> None:
    """Forecast with VERSION of JOB again: the one that was active before, or 0 for the teams' medians alone.

    The version that is active now is retired and does not come back by itself.
    """
    async with session.client() as client:
        view = await _learning(session, client, job)
        active = _known(view, job).active_version
        if not active:
            raise PreconditionError(f"job {job} has no active version to roll back; nothing was changed")
        target = _former(view) if version is None else version
        change = RollBack(job=job, version=target, expected_active=active, why=why)
        answer = await _change(session, client, dry_run, roll_back=change)
    instead = f"version {target} of job {job}" if target else f"no version of job {job}"
    _show(session, answer, dry_run, instead, f"active in place of {active}")


@command(None, "opt-out")
@click.option("--job", default="", metavar="JOB", help="Only from this job.  [default: from all]")
@click.option("--why", default="", help="For those who wonder.")
@dry_run_option
async def opt_out(session: Session, job: str, why: str, dry_run: bool) -> None:
    """Take no part in learning on this node; its owner decides. Forecasts go on."""
    await _set_opt_out(session, SetOptOut(job=job, out=True, why=why), dry_run, "out of")


@command(None, "opt-in")
@click.option("--job", default="", metavar="JOB", help="The job that was opted out of.  [default: all of them]")
@dry_run_option
async def opt_in(session: Session, job: str, dry_run: bool) -> None:
    """Take part in learning on this node again."""
    await _set_opt_out(session, SetOptOut(job=job, out=False), dry_run, "part of")


async def _set_opt_out(session: Session, change: SetOptOut, dry_run: bool, where: str) -> None:
    async with session.client() as client:
        answer = await _change(session, client, dry_run, set_opt_out=change)
    _show(session, answer, dry_run, "this node", f"{where} {f'job {change.job}' if change.job else 'every job'}")


async def _learning(session: Session, client: Client, job: str) -> learning_pb2.Learning:
    request = learning_pb2.GetLearningRequest(job=job, limit=VERSIONS_READ)
    return await client.learning.get_learning(request, timeout_s=session.timeout_s)


async def _change(session: Session, client: Client, dry_run: bool, **change: Any) -> learning_pb2.ProposeResponse:
    request = learning_pb2.ChangeLearningRequest(**change, request_id=new_request_id(), validate_only=dry_run)
    return await client.learning.change_learning(request, timeout_s=session.timeout_s)


def _show(session: Session, answer: learning_pb2.ProposeResponse, dry_run: bool, what: str, becomes: str) -> None:
    if session.output.as_json:
        session.output.json({"change": to_json(answer), "dry_run": dry_run})
    else:
        session.output.data(f"{what} {'would be' if dry_run else 'is'} {becomes}")


def _known(view: learning_pb2.Learning, job: str) -> row_pb2.Job:
    if not view.jobs:
        raise NotFoundError(f"there is no job {job}; see `weftmesh learn status`")
    return view.jobs[0]


def _new(job: str, rounds: int | None) -> DefineJob:
    if job not in ROUNDS_DEFAULT:
        raise NotFoundError(f"there is no job {job}, and this release makes jobs for {', '.join(ROUNDS_DEFAULT)} only")
    spec = learning_pb2.JobSpec(head=job, goal_version=STARTING_VERSIONS + (rounds or ROUNDS_DEFAULT[job]))
    return DefineJob(
        job=job,
        spec=spec.SerializeToString(),
        contributors_floor=Limits.CONTRIBUTORS_FLOOR,
        threshold_percent=THRESHOLD_PERCENT,
    )


def _raised(job: row_pb2.Job, rounds: int | None) -> DefineJob:
    """The job's definition with a later goal."""
    spec = spec_of(job)
    if spec.head not in ROUNDS_DEFAULT:
        raise PreconditionError(f"job {job.name} was made by a newer release; upgrade this node first")
    spec.goal_version = max(job.newest_version, spec.goal_version) + (rounds or ROUNDS_DEFAULT[spec.head])
    return DefineJob(
        job=job.name,
        spec=spec.SerializeToString(),
        contributors_floor=job.contributors_floor,
        threshold_percent=job.threshold_percent,
        noise=job.noise if job.HasField("noise") else None,
        interval_s=job.interval_s,
        version=job.version,
    )


def _promise(
    define: DefineJob, view: learning_pb2.Learning, epsilon: float | None, delta: float, clip: float, colluders: int
) -> None:
    """Put a noise policy into the definition, if one is asked for."""
    if epsilon is None:
        return
    newest, spent = (view.jobs[0].newest_version, view.jobs[0].spent_nano_rho) if view.jobs else (0, 0)
    rounds = learning_pb2.JobSpec.FromString(define.spec).goal_version - max(newest, STARTING_VERSIONS)
    define.noise.CopyFrom(policy(epsilon, delta, clip, colluders, rounds=rounds, spent_nano_rho=spent))


def _former(view: learning_pb2.Learning) -> int:
    """The version that was active before the present one; 0 for none."""
    before = [one for one in view.versions if one.stage == VersionStage.SUPERSEDED]
    return max(before, key=lambda one: one.activated_revision).number if before else 0
