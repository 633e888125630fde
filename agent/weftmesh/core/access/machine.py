"""The machine of roles: pure, with the house's verbs `apply`, `next_deadline`, `check` and `story`.

It knows bindings and nothing of callers; what a caller may do is `deciding`'s. The same log makes the same state.
"""

# ruff: noqa: S101 - `check` asserts

from __future__ import annotations

from collections.abc import Iterator

from weftmesh.core.access.commands import Command
from weftmesh.core.access.model import MESH, Binding, Limits, place_text
from weftmesh.core.access.outcomes import AccessEvent, AccessOutcome, Reason, Verb
from weftmesh.core.access.plans import Change, Plan, Refusal, plan_of
from weftmesh.core.access.roles import Role
from weftmesh.core.access.state import AccessState
from weftmesh.core.access.store import Store, row_hash
from weftmesh.core.board.first_answers import FirstAnswers
from weftmesh.core.board.hashing import HASH_BYTES, HASH_MASK, request_hash
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import Refusal as ValueRefusal
from weftmesh.core.board.validate import check_header


class Access:
    """Bindings at one revision. Not safe for concurrent use; the values it hands out are immutable."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store or Store()
        self._answers = FirstAnswers(AccessOutcome, _reused)

    # Verbs

    def apply(self, command: Command) -> tuple[AccessOutcome, tuple[AccessEvent, ...]]:
        """Executes `command`; one event, of the next revision, and none when nothing changed. Never raises."""
        first = self._answers.first(command.header, self.revision)
        if first is not None:
            return first, ()
        plan, outcome = self._decide(command)
        events = (self._commit(plan, command),) if isinstance(plan, Change) else ()
        self._answers.remember(command.header, outcome, self.revision)
        return outcome, events

    def preview(self, command: Command) -> AccessOutcome:
        """What `apply` would answer; nothing changes."""
        first = self._answers.first(command.header, self.revision)
        return self._decide(command)[1] if first is None else first

    def next_deadline(self) -> None:
        """It has no timers: a role holds until it is taken back."""

    def check(self) -> None:
        """Asserts every invariant; takes time in proportion to the state."""
        store = self._store
        assert len(store.bindings) <= Limits.BINDINGS, "bindings are beyond their limit"
        assert not store.roles_on(MESH) or any(store.mesh_admins()), "the mesh has roles and no admin"
        indexed = sum(len(store.roles_on(project)) for project in {one.project for one in store.bindings})
        assert indexed == len(store.bindings), "the index is not of the bindings"
        assert all(store.roles_on(one.project)[one.subject] is one.role for one in store.bindings), "index"
        revisions = [event.revision for event in store.events]
        assert revisions == list(range(store.event_floor + 1, store.revision + 1)), "events are not one a revision"
        total = sum(map(row_hash, store.bindings)) + sum(map(row_hash, store.events))
        assert self.hash_sum == (total + sum(map(request_hash, self._answers))) & HASH_MASK, "state hash"

    def story(self, key: str) -> str:
        """What happened to the subject or on the project of this name; `mesh` for the mesh itself."""
        place = MESH if key == "mesh" else key
        lines = [_told(event) for event in self._store.events if key == event.subject or place == event.project]
        return "\n".join(lines) or f"{key}: nothing is kept of it at revision {self.revision}"

    def _decide(self, command: Command) -> tuple[Plan | None, AccessOutcome]:
        try:
            check_header(command.header)
            plan = plan_of(self._store, command)
        except ValueRefusal as refusal:
            return None, self._refused(command, refusal.kind, refusal.message, Reason.INVALID_VALUE)
        except Refusal as refusal:
            return None, self._refused(command, refusal.kind, refusal.message, refusal.reason)
        if isinstance(plan, Change):
            return plan, AccessOutcome(OutcomeKind.APPLIED, self.revision + 1, plan.binding.subject)
        return plan, AccessOutcome(OutcomeKind.UNCHANGED, self.revision, plan.subject)

    def _refused(self, command: Command, kind: OutcomeKind, message: str, reason: Reason) -> AccessOutcome:
        return AccessOutcome(kind, self.revision, command.subject, message, reason=reason)

    def _commit(self, change: Change, command: Command) -> AccessEvent:
        binding, header = change.binding, command.header
        if change.verb is Verb.GRANTED:
            self._store.put(binding)
        else:
            self._store.drop(binding)
        event = AccessEvent(
            self.revision + 1,
            change.verb,
            binding.project,
            binding.subject,
            binding.role,
            command.why,
            header.actor,
            header.stamp,
        )
        self._store.append(event)
        return event

    # Reads

    @property
    def revision(self) -> int:
        """Up by one with every change; 0 for an empty machine."""
        return self._store.revision

    @property
    def hash_sum(self) -> int:
        """The state hash as a number: 0 for an empty machine, and it adds up with those of other machines."""
        return (self._store.hash_sum + self._answers.hash_sum) & HASH_MASK

    @property
    def state_hash(self) -> str:
        """32 hexadecimal digits, equal where states are equal."""
        return self.hash_sum.to_bytes(HASH_BYTES, "big").hex()

    def bindings(self) -> Iterator[Binding]:
        """All bindings, in the order in which they came."""
        return iter(self._store.bindings)

    def roles_on(self, project: str) -> dict[str, Role]:
        """The roles on a project, or on `MESH`, by subject; not to be changed."""
        return self._store.roles_on(project)

    def events(self) -> tuple[AccessEvent, ...]:
        """The changes that are kept, the oldest first."""
        return tuple(self._store.events)

    # Snapshots

    def freeze(self) -> AccessState:
        """The whole state, of immutable values."""
        store = self._store
        return AccessState(
            revision=self.revision,
            state_hash=self.hash_sum.to_bytes(HASH_BYTES, "big"),
            event_floor=store.event_floor,
            bindings=tuple(store.bindings),
            events=tuple(store.events),
            requests=self._answers.freeze(),
        )

    @classmethod
    def thaw(cls, state: AccessState) -> Access:
        """A machine with that state. The hash is made anew; who reads a snapshot compares it with the stored one."""
        store = Store(state.revision)
        store.load(state.bindings, state.events, state.event_floor)
        machine = cls(store)
        machine._answers.thaw(state.requests)
        return machine


def _told(event: AccessEvent) -> str:
    verb = "granted" if event.verb is Verb.GRANTED else "revoked"
    why = f": {event.why}" if event.why else ""
    role = event.role.name.lower()
    return f"{event.revision}: {event.actor} {verb} {event.subject} {role} on {place_text(event.project)}{why}"


def _reused(revision: int, message: str) -> AccessOutcome:
    return AccessOutcome(OutcomeKind.REQUEST_REUSED, revision, message=message, reason=Reason.REQUEST_REUSED)
