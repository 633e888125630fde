"""What a command comes to before anything is changed: a write, nothing at all, or a refusal."""

from __future__ import annotations

from dataclasses import field

from weftmesh.core.board.commands import Header
from weftmesh.core.board.compact import shared_text
from weftmesh.core.board.model import Change, Collision, Conflict, FieldChange, Project, Task, Verb
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.records import record

_QUOTED_CHARACTERS = 80
_QUOTED_BITS = 256


class Refusal(Exception):  # noqa: N818 - not an error: it travels from a rule to `Board.apply`, which answers with it
    """A command that the board does not apply, and why."""

    def __init__(
        self,
        kind: OutcomeKind,
        message: str,
        *,
        subject: str = "",
        collisions: tuple[Collision, ...] = (),
        mergeable_paths: tuple[str, ...] = (),
        current_version: int = 0,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.subject = subject
        self.collisions = collisions
        self.mergeable_paths = mergeable_paths
        self.current_version = current_version


@record(frozen=True, slots=True)
class TaskWrite:
    """A task as it will be; `before` is None for a new one."""

    before: Task | None
    after: Task
    kind: OutcomeKind = OutcomeKind.APPLIED
    collisions: tuple[Collision, ...] = field(default=())
    mergeable_paths: tuple[str, ...] = field(default=())


@record(frozen=True, slots=True)
class ProjectWrite:
    """A project as it will be; `before` is None for a new one."""

    before: Project | None
    after: Project


@record(frozen=True, slots=True)
class Unchanged:
    """The board says so already."""

    subject: str
    version: int


Plan = TaskWrite | ProjectWrite | Unchanged


def invalid(message: str) -> Refusal:
    """A command that can never succeed as it is."""
    return Refusal(OutcomeKind.INVALID, message)


def quoted(value: object) -> str:
    """`value` for a message: printable, and cut where it is long."""
    if isinstance(value, int) and value.bit_length() > _QUOTED_BITS:
        return "a number beyond all bounds"  # Python refuses to print the largest ones
    text = repr(value)
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}..."


def new_change(
    header: Header,
    *,
    version: int,
    revision: int,
    verb: Verb,
    fields: tuple[FieldChange, ...] = (),
    conflict: Conflict | None = None,
) -> Change:
    """The history entry of a write under `header`."""
    actor = shared_text(header.actor)
    return Change(version, revision, verb, actor, header.stamp, header.request_id, fields, conflict)
