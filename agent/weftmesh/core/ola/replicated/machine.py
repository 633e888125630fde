"""The machine of agreements: pure, with the house's verbs `apply`, `next_deadline`, `check` and `story`.

It knows no clock, no time zones and no certificates. The same log makes the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from weftmesh.core.board.commands import Header
from weftmesh.core.board.first_answers import FirstAnswers
from weftmesh.core.board.hashing import HASH_BYTES, HASH_MASK
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import Refusal as ValueRefusal
from weftmesh.core.board.validate import check_header
from weftmesh.core.ola.replicated import agreement_plans, breach_plans, route_plans, window_plans
from weftmesh.core.ola.replicated.checking import check_hash, check_store
from weftmesh.core.ola.replicated.commands import (
    AddExclusion,
    ApplyAgreements,
    ClearOverride,
    CloseBreach,
    Command,
    Confirm,
    OpenBreach,
    RecordWindow,
    RemoveExclusion,
    SetClass,
    SetOverride,
    SetWeights,
)
from weftmesh.core.ola.replicated.outcomes import OlaEvent, OlaOutcome, Reason, Verb
from weftmesh.core.ola.replicated.plans import Change, Plan, Refusal, Unchanged
from weftmesh.core.ola.replicated.reading import Reading
from weftmesh.core.ola.replicated.retention import (
    outlived_agreements,
    outlived_of,
    outlived_weights,
    outlived_windows,
    rows_of,
)
from weftmesh.core.ola.replicated.state import OlaState
from weftmesh.core.ola.replicated.store import Store
from weftmesh.core.ola.replicated.story import story_of

_PLANNERS: Final[Mapping[type[Any], Callable[[Store, Any], Plan]]] = {
    ApplyAgreements: agreement_plans.plan_apply,
    AddExclusion: agreement_plans.plan_add_exclusion,
    RemoveExclusion: agreement_plans.plan_remove_exclusion,
    SetClass: agreement_plans.plan_set_class,
    RecordWindow: window_plans.plan_record_window,
    Confirm: window_plans.plan_confirm,
    SetOverride: route_plans.plan_set_override,
    ClearOverride: route_plans.plan_clear_override,
    SetWeights: route_plans.plan_set_weights,
    OpenBreach: breach_plans.plan_open_breach,
    CloseBreach: breach_plans.plan_close_breach,
}
_SET_CHANGES: Final = frozenset({Verb.APPLIED, Verb.RETIRED, Verb.BREACH_CLOSED})


class Agreements:
    """Agreements at one revision. Not safe for concurrent use; the values it hands out are immutable.

    Attributes:
        read: what the machine knows, for its readers.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store = store or Store()
        self._answers = FirstAnswers(OlaOutcome, _reused)
        self.read: Final = Reading(self._store)

    # Verbs

    def apply(self, command: Command) -> tuple[OlaOutcome, tuple[OlaEvent, ...]]:
        """Executes `command`; the events are of the next revision, and none when nothing changed. Never raises."""
        header = command.header
        first = self._answers.first(header, self.revision)
        if first is not None:
            return first, ()
        plan, outcome = self._decide(command)
        events = self._commit(plan, header) if isinstance(plan, Change) else ()
        self._answers.remember(header, outcome, self.revision)
        return outcome, events

    def preview(self, command: Command) -> OlaOutcome:
        """What `apply` would answer; nothing changes."""
        first = self._answers.first(command.header, self.revision)
        return self._decide(command)[1] if first is None else first

    def next_deadline(self) -> None:
        """It has no timers: windows make it older, and whoever leads evaluates it."""

    def check(self) -> None:
        """Asserts every invariant; takes time in proportion to the state."""
        check_store(self._store)
        check_hash(self._store, self._answers, self.hash_sum)

    def story(self, key: str) -> str:
        """What happened to the agreement or the route of this name."""
        return story_of(self._store, key)

    def _decide(self, command: Command) -> tuple[Plan | None, OlaOutcome]:
        revision = self._store.revision
        try:
            check_header(command.header)
            plan = _PLANNERS[type(command)](self._store, command)
        except ValueRefusal as refusal:
            return None, self._refused(Refusal(Reason.INVALID_VALUE, refusal.message, refusal.kind))
        except Refusal as refusal:
            return None, self._refused(refusal)
        if isinstance(plan, Unchanged):
            kind = OutcomeKind.UNCHANGED
        else:
            kind, revision = OutcomeKind.APPLIED, revision + 1
        return plan, OlaOutcome(kind, revision, plan.subject, current_version=plan.current_version)

    def _refused(self, refusal: Refusal) -> OlaOutcome:
        return OlaOutcome(
            refusal.kind,
            self.revision,
            message=refusal.message,
            current_version=refusal.current_version,
            reason=refusal.reason,
        )

    def _commit(self, change: Change, header: Header) -> tuple[OlaEvent, ...]:
        store = self._store
        store.revision += 1
        for row in change.rows:
            store.put(row)
        for row in change.gone:
            store.drop(row)
        if change.count is not None:
            store.count(change.count.starts_s, change.count.counts)
            for row in outlived_windows(store):
                store.drop(row)
        events = tuple(
            OlaEvent(store.revision, one.verb, one.subject, one.generation, one.note, header.actor, header.stamp)
            for one in change.happenings
        )
        for event in events:
            store.append(event)
        self._let_go(events)
        return events

    def _let_go(self, events: tuple[OlaEvent, ...]) -> None:
        store = self._store
        for event in events:
            for row in outlived_of(store, event.subject):
                store.drop(row)
        if not _SET_CHANGES.isdisjoint([event.verb for event in events]):
            for standing in outlived_agreements(store):
                for row in rows_of(store, standing.name):
                    store.drop(row)
                store.forget_history(standing.name)
            for row in outlived_weights(store):
                store.drop(row)

    # State

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

    def freeze(self) -> OlaState:
        """The whole state, of immutable values."""
        store = self._store
        return OlaState(
            revision=self.revision,
            state_hash=self.hash_sum.to_bytes(HASH_BYTES, "big"),
            event_floor=store.event_floor,
            newest_s=store.newest_s,
            rows=tuple(store.rows()),
            chunks=tuple(store.history.chunks()),
            events=tuple(store.events),
            requests=self._answers.freeze(),
        )

    @classmethod
    def thaw(cls, state: OlaState) -> Agreements:
        """A machine with that state. The hash is made anew; who reads a snapshot compares it with the stored one.

        Raises:
            ValueError: a chunk of history is none.
        """
        store = Store(state.revision)
        store.newest_s = state.newest_s
        store.event_floor = state.event_floor
        store.load(state.rows, state.chunks, state.events)
        machine = cls(store)
        machine._answers.thaw(state.requests)
        return machine


def _reused(revision: int, message: str) -> OlaOutcome:
    return OlaOutcome(OutcomeKind.REQUEST_REUSED, revision, message=message, reason=Reason.REQUEST_REUSED)
