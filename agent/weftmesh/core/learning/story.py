"""What happened to a job or a round, as text for people and for failing tests."""

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.core.learning.model import Job, Round, UnmaskIntent
from weftmesh.core.learning.outcomes import LearningEvent
from weftmesh.core.learning.privacy import left_nano_rho
from weftmesh.core.learning.store import Store


def job_story(store: Store, job: Job) -> str:
    """One line for the job, and one for each thing of late that happened to it."""
    state = "enabled" if job.enabled else "disabled"
    active = (
        f"version {job.active_version} of {job.newest_version} active" if job.active_version else "no active version"
    )
    left = left_nano_rho(job)
    budget = "" if left is None else f", {left} of {left + job.spent_nano_rho} billionths of rho left"
    heeded = f", heeds {job.coordinator.node} of term {job.coordinator.term}" if job.coordinator.term else ""
    head = f"job {job.name} definition {job.version} {state}: {active}{budget}{heeded}"
    return "\n".join([head, *_event_lines(event for event in store.events if event.job == job.name)])


def round_story(store: Store, one: Round) -> str:
    """One line for the round, one for its intent, and one for each thing of late that happened to it."""
    ended = f": {one.why}" if one.why else f": made version {one.result_version}" if one.result_version else ""
    head = (
        f"round {one.id.hex()} of job {one.job}, {one.kind.name.lower()} on version {one.base_version} by "
        f"{one.coordinator.node} in term {one.coordinator.term}, {one.stage.name.lower()}{ended}"
    )
    lines = [head, f"  asked: {' '.join(one.contributors)}"]
    intent = store.intents.get((one.job, one.kind, one.base_version))
    if intent is not None and intent.round_id == one.id:
        lines.append(_intent_line(intent))
    return "\n".join([*lines, *_event_lines(event for event in store.events if event.round_id == one.id)])


def _intent_line(intent: UnmaskIntent) -> str:
    dead = f", dead: {' '.join(intent.dead)}" if intent.dead else ""
    return f"  active: {' '.join(intent.active)}{dead}; cost {intent.nano_rho} billionths of rho"


def _event_lines(events: Iterable[LearningEvent]) -> list[str]:
    return [_event_line(event) for event in events]


def _event_line(event: LearningEvent) -> str:
    what = event.verb.name.lower().replace("_", " ")
    about = f" round {event.round_id.hex()}" if event.round_id else ""
    version = f" version {event.version}" if event.version else ""
    node = f" {event.node}" if event.node else ""
    note = f" ({event.note})" if event.note else ""
    return f"  r{event.revision} {what}{about}{version}{node}{note} by {event.actor} at {event.stamp}"
