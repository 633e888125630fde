"""What an import did to one task, what others made of it since, and so what can be taken back.

The judgement is by value, not by version: a field that somebody changed and changed back is as the import left it. A
task is only taken away when all of it is; of a task that was there before, each field is judged on its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from weftmesh.core.exchange.plan import DIGESTS_PATH
from weftmesh.core.exchange.tokens import ImportToken, Mark, read_mark


class Action(Enum):
    """What an undo does to one task."""

    DELETE = "delete"
    RESTORE = "restore"
    KEEP = "keep"
    """Edited since: left as it is."""
    NOTHING = "nothing"
    """Taken back already, or gone."""


@dataclass(frozen=True, slots=True)
class PastField:
    """One field of a past change; values as the history prints them."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class PastChange:
    """One entry of a task's history."""

    revision: int
    verb: str
    actor: str
    time: str
    request_id: str
    fields: tuple[PastField, ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """Somebody's value where the import's would be taken back."""

    path: str
    value: str
    actor: str
    time: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one task that the import touched."""

    action: Action
    revision_before: int
    """The board revision just before the import's first write to the task."""
    paths: tuple[str, ...] = ()
    """Fields to set back; for RESTORE."""
    edits: tuple[Edit, ...] = ()
    """What was edited since and stands in the way, or would stay beside what is restored."""


@dataclass(slots=True)
class _Trace:
    """One path through the history since the import's first write."""

    before: str
    """As it was before the import."""
    left: str
    """As the import left it."""
    now: str
    ours: bool
    edit: Edit | None = None


@dataclass(slots=True)
class _Past:
    existed: bool
    alive: bool
    revision_before: int
    traces: dict[str, _Trace] = field(default_factory=dict)


def judge(changes: Sequence[PastChange], token: ImportToken, *, open_conflicts: int = 0, force: bool) -> Verdict | None:
    """What to do with one task; None when the import never touched it.

    Args:
        changes: the task's whole history, oldest first.
        token: of the import.
        open_conflicts: of the task; a value that waits for a decision is somebody's work.
        force: take back what was edited since, too.
    """
    past = _past_of(changes, token)
    if past is None:
        return None
    traces = {path: trace for path, trace in past.traces.items() if path != DIGESTS_PATH}
    if not past.alive:
        return Verdict(Action.NOTHING, past.revision_before)
    if not past.existed:
        edits = tuple(trace.edit for trace in traces.values() if trace.edit and trace.now != trace.left)
        if (edits or open_conflicts) and not force:
            return Verdict(Action.KEEP, past.revision_before, edits=edits)
        return Verdict(Action.DELETE, past.revision_before, edits=edits)
    return _restore(past, traces, force)


def was_taken_back(changes: Sequence[PastChange]) -> bool:
    """Whether a deleted task was deleted by an undo, so that another import may bring it back."""
    for change in reversed(changes):
        if change.verb == "delete":
            mark = read_mark(change.request_id)
            return mark is not None and mark[1] is Mark.UNDO
    return False


def _past_of(changes: Sequence[PastChange], token: ImportToken) -> _Past | None:
    past: _Past | None = None
    alive = False
    for change in changes:
        ours = token.marks(change.request_id, Mark.IMPORT)
        if past is None and ours:
            past = _Past(existed=alive, alive=alive, revision_before=change.revision - 1)
        if change.verb in ("create", "undelete"):
            alive = True
        elif change.verb == "delete":
            alive = False
        if past is not None:
            past.alive = alive
            _follow(past.traces, change, ours)
    return past


def _follow(traces: dict[str, _Trace], change: PastChange, ours: bool) -> None:
    for one in change.fields:
        trace = traces.setdefault(one.path, _Trace(one.before, one.before, one.before, ours=False))
        trace.now = one.after
        if ours:
            trace.left, trace.ours, trace.edit = one.after, True, None
        else:
            trace.edit = Edit(one.path, one.after, change.actor, change.time)


def _restore(past: _Past, traces: Mapping[str, _Trace], force: bool) -> Verdict:
    touched = {path: trace for path, trace in traces.items() if trace.ours and trace.left != trace.before}
    edits = tuple(
        trace.edit for trace in touched.values() if trace.edit and trace.now not in (trace.left, trace.before)
    )
    paths = [path for path, trace in touched.items() if trace.now == trace.left]
    if force:
        paths += [edit.path for edit in edits]
    digests = past.traces.get(DIGESTS_PATH)
    if paths and digests is not None and digests.ours and digests.now == digests.left != digests.before:
        # With the values goes the memory of having brought them: the next import decides as it would have before.
        paths.append(DIGESTS_PATH)
    if paths:
        return Verdict(Action.RESTORE, past.revision_before, tuple(sorted(paths)), edits)
    return Verdict(Action.KEEP if edits else Action.NOTHING, past.revision_before, edits=edits)
