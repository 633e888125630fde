"""What a command comes to before anything is changed: a change, nothing at all, or a refusal."""

from __future__ import annotations

from dataclasses import replace

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import quoted
from weftmesh.core.learning.model import Coordinator, Job, Round, RoundStage, Row, Version, VersionStage
from weftmesh.core.learning.outcomes import Reason, Verb
from weftmesh.core.learning.store import Store
from weftmesh.core.records import record


class Refusal(Exception):  # noqa: N818 - not an error: it travels from a rule to `Learning.apply`, which answers with it
    """A command that the machine does not apply, and why."""

    def __init__(
        self, reason: Reason, message: str, kind: OutcomeKind = OutcomeKind.PRECONDITION, *, current_version: int = 0
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.kind = kind
        self.current_version = current_version


@record(frozen=True, slots=True)
class Change:
    """One revision: what is written, and what its event says."""

    verb: Verb
    job: str
    rows: tuple[Row, ...]
    gone: tuple[Row, ...] = ()
    round_id: bytes = b""
    version: int = 0
    """Of a model."""
    node: str = ""
    note: str = ""
    current_version: int = 0
    """For the outcome."""


@record(frozen=True, slots=True)
class Unchanged:
    """The machine says so already."""

    job: str
    current_version: int = 0


Plan = Change | Unchanged


def invalid(message: str) -> Refusal:
    """A command that can never succeed as it is."""
    return Refusal(Reason.INVALID_VALUE, message, OutcomeKind.INVALID)


def job_named(store: Store, name: str) -> Job:
    """A job that is here."""
    job = store.jobs.get(name)
    if job is None:
        known = ", ".join(sorted(one.name for one in store.jobs)) or "none yet"
        raise Refusal(
            Reason.NO_SUCH_JOB,
            f"there is no job {quoted(name)}; define it first, or name one of these: {known}",
            OutcomeKind.NOT_FOUND,
        )
    return job


def heeded(job: Job, coordinator: Coordinator) -> Job:
    """The job with its newest coordinator, who is `coordinator` from now on; one of a past term is refused."""
    newest = job.coordinator
    if coordinator.term < newest.term:
        raise Refusal(
            Reason.STALE_TERM,
            f"job {job.name} heeds {newest.node} since term {newest.term}, and this is of term {coordinator.term}; "
            "stand down, and drop what was collected",
        )
    if coordinator.term == newest.term and coordinator.node != newest.node:
        raise Refusal(
            Reason.STALE_TERM,
            f"job {job.name} heeds {newest.node} in term {newest.term}, not {coordinator.node}; stand down: a term has "
            "one leader",
        )
    return job if coordinator == newest else replace(job, coordinator=coordinator)


def round_of(store: Store, job: Job, round_id: bytes) -> Round:
    """A round of a job, over or not."""
    found = store.rounds.get(round_id)
    if found is None or found.job != job.name:
        raise Refusal(
            Reason.NO_SUCH_ROUND,
            f"job {job.name} has no round {round_id.hex()}; open it, or read which one is under way",
            OutcomeKind.NOT_FOUND,
        )
    return found


def require_stage(one: Round, stage: RoundStage, what_to_do: str) -> None:
    """Refuses a round that is at another stage."""
    if one.stage is not stage:
        why = f" ({one.why})" if one.why else ""
        raise Refusal(
            Reason.ROUND_STAGE,
            f"round {one.id.hex()} of job {one.job} is {one.stage.name.lower()}{why}, not {stage.name.lower()}; "
            f"{what_to_do}",
        )


def version_of(store: Store, job: Job, number: int) -> Version:
    """A version of a job that is kept."""
    version = store.versions.get((job.name, number))
    if version is None:
        kept = [one.number for one in store.versions_of(job.name)]
        known = (
            f"those from {kept[0]} to {kept[-1]} are kept, in part" if kept else "it has none yet; add a model first"
        )
        raise Refusal(
            Reason.NO_SUCH_VERSION,
            f"job {job.name} has no version {quoted(number)}; {known}",
            OutcomeKind.NOT_FOUND,
        )
    return version


def refuse_retired(version: Version, what_to_do: str) -> None:
    """Refuses a version that was given up."""
    if version.stage is VersionStage.RETIRED:
        raise Refusal(Reason.VERSION_STAGE, f"version {version.number} of job {version.job} is retired; {what_to_do}")
