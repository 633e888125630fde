"""What a command comes to before anything is changed: a change, nothing at all, or a refusal."""

from __future__ import annotations

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import quoted
from weftmesh.core.ola.replicated.outcomes import Reason, Verb
from weftmesh.core.ola.replicated.rows import Generation, ObjectiveCount, Row
from weftmesh.core.ola.replicated.store import Store
from weftmesh.core.records import record


class Refusal(Exception):  # noqa: N818 - not an error: it travels from a rule to `apply`, which answers with it
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
class Happening:
    """What an event says, but for when and by whom."""

    verb: Verb
    subject: str
    generation: int = 0
    note: str = ""


@record(frozen=True, slots=True)
class Count:
    """What goes into history."""

    starts_s: int
    counts: tuple[ObjectiveCount, ...]


@record(frozen=True, slots=True)
class Change:
    """One revision: what is written, and what its events say."""

    subject: str
    rows: tuple[Row, ...] = ()
    gone: tuple[Row, ...] = ()
    happenings: tuple[Happening, ...] = ()
    count: Count | None = None
    current_version: int = 0
    """For the outcome."""


@record(frozen=True, slots=True)
class Unchanged:
    """The machine says so already."""

    subject: str
    current_version: int = 0


Plan = Change | Unchanged


def invalid(message: str) -> Refusal:
    """A command that can never succeed as it is."""
    return Refusal(Reason.INVALID_VALUE, message, OutcomeKind.INVALID)


def agreement_named(store: Store, name: str) -> Generation:
    """An agreement that is in force."""
    found = store.in_force(name)
    if found is None:
        known = ", ".join(sorted(one.name for one in store.all_in_force())[:20]) or "none yet"
        raise Refusal(
            Reason.NO_SUCH_AGREEMENT,
            f"no agreement {quoted(name)} is in force; apply it first, or name one of these: {known}",
            OutcomeKind.NOT_FOUND,
        )
    return found


def check_objective(found: Generation, objective: str) -> None:
    """Refuses an objective that the agreement has not."""
    if found.agreement.objective(objective) is None:
        known = ", ".join(one.key for one in found.agreement.objectives)
        raise Refusal(
            Reason.NO_SUCH_OBJECTIVE,
            f"{found.name} has no objective {quoted(objective)}; it has {known}",
            OutcomeKind.NOT_FOUND,
        )
