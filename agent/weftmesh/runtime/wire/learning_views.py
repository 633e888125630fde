"""What the learning machine knows, as messages for its readers."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import Job, Round, RoundKind, UnmaskIntent
from weftmesh.learning.v1 import learning_pb2, row_pb2
from weftmesh.runtime.wire.learning_records import fill


def learning_view(learning: Learning, job: str, limit: int) -> learning_pb2.Learning:
    """Return what `learning` knows.

    Args:
        learning: the machine.
        job: of which job; empty for all.
        limit: the newest so many rounds and versions of each job, and events.
    """
    view = learning_pb2.Learning(revision=learning.revision)
    _fill_opt_outs(view, learning, job)
    for one in _jobs(learning, job):
        fill(view.jobs.add(), one)
        rounds = learning.rounds(one.name)[-limit:]
        for round_ in rounds:
            fill(view.rounds.add(), round_)
        for intent in _intents(learning, rounds):
            view.intents.append(intent_view(intent))
        for version in learning.versions(one.name)[-limit:]:
            fill(view.versions.add(), version)
            evaluation = learning.evaluation(one.name, version.number)
            if evaluation is not None:
                fill(view.evaluations.add(), evaluation)
    events = learning.events_since(learning.event_floor) or ()
    for event in [one for one in events if not job or one.job in ("", job)][-limit:]:
        fill(view.events.add(), event)
    return view


def base_view(learning: Learning, job: str, base_version: int) -> learning_pb2.Learning:
    """Return what concerns a learner in a round on one base version, and little else: it asks for it all the time.

    Args:
        learning: the machine.
        job: its name.
        base_version: the number of the version; one that is not known is left out.
    """
    view = learning_pb2.Learning(revision=learning.revision)
    _fill_opt_outs(view, learning, job)
    if (row := learning.job(job)) is not None:
        fill(view.jobs.add(), row)
        if (round_ := learning.round(row.round_id)) is not None:
            fill(view.rounds.add(), round_)
    if (version := learning.version(job, base_version)) is not None:
        fill(view.versions.add(), version)
    intents = [learning.intent(job, kind, base_version) for kind in RoundKind]
    view.intents.extend(intent_view(intent) for intent in intents if intent is not None)
    return view


def intent_view(intent: UnmaskIntent) -> row_pb2.UnmaskIntent:
    """Return an intent as a message."""
    message = row_pb2.UnmaskIntent()
    fill(message, intent)
    return message


def _fill_opt_outs(view: learning_pb2.Learning, learning: Learning, job: str) -> None:
    """Fill in those that are of every job, and those of this one; with no job named, all."""
    for opt_out in learning.opt_outs():
        if not job or opt_out.job in ("", job):
            fill(view.opt_outs.add(), opt_out)


def _jobs(learning: Learning, job: str) -> Sequence[Job]:
    if not job:
        return learning.jobs()
    found = learning.job(job)
    return () if found is None else (found,)


def _intents(learning: Learning, rounds: Sequence[Round]) -> list[UnmaskIntent]:
    """The intents of rounds; a base version that several rounds wanted has one, of one of them."""
    found = (learning.intent(one.job, one.kind, one.base_version) for one in rounds)
    return list({(one.kind, one.base_version): one for one in found if one is not None}.values())
