"""The machine of trust: pure, with the house's verbs `apply`, `next_deadline`, `check` and `story`.

It knows no clock and reads no certificate. The same log makes the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from weftmesh.core.board.first_answers import FirstAnswers
from weftmesh.core.board.hashing import HASH_BYTES, HASH_MASK
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import Refusal as ValueRefusal
from weftmesh.core.board.validate import check_header
from weftmesh.core.trust.checking import check_hash, check_store
from weftmesh.core.trust.commands import (
    AbandonRotation,
    BeginRotation,
    Command,
    FinishRotation,
    Readmit,
    ReportCertificate,
    Revoke,
    SwitchIssuer,
)
from weftmesh.core.trust.outcomes import Reason, Refusal, TrustOutcome
from weftmesh.core.trust.plans import Plan, plan_readmit, plan_report, plan_revoke
from weftmesh.core.trust.reading import Reading
from weftmesh.core.trust.rotation_plans import plan_abandon, plan_begin, plan_finish, plan_switch
from weftmesh.core.trust.rows import Limits
from weftmesh.core.trust.state import TrustState
from weftmesh.core.trust.store import Store
from weftmesh.core.trust.story import story_of

_PLANNERS: Final[Mapping[type[Any], Callable[[Store, Any], Plan]]] = {
    ReportCertificate: plan_report,
    Revoke: plan_revoke,
    Readmit: plan_readmit,
    BeginRotation: plan_begin,
    SwitchIssuer: plan_switch,
    FinishRotation: plan_finish,
    AbandonRotation: plan_abandon,
}


class Trust:
    """Trust at one revision. Not safe for concurrent use; the values it hands out are immutable.

    Attributes:
        read: what the machine knows, for its readers.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store = store or Store()
        self._answers = FirstAnswers(TrustOutcome, _reused)
        self.read: Final = Reading(self._store)

    # Verbs

    def apply(self, command: Command) -> TrustOutcome:
        """Executes `command`. Never raises."""
        header = command.header
        first = self._answers.first(header, self.revision)
        if first is not None:
            return first
        plan, outcome = self._decide(command)
        if plan is not None and outcome.kind is OutcomeKind.APPLIED:
            self._commit(plan)
        self._answers.remember(header, outcome, self.revision)
        return outcome

    def preview(self, command: Command) -> TrustOutcome:
        """What `apply` would answer; nothing changes."""
        first = self._answers.first(command.header, self.revision)
        return self._decide(command)[1] if first is None else first

    def next_deadline(self) -> int | None:
        """When the next revocation is of no use any more, in milliseconds since 1970; a change after that drops it."""
        return min((one.expires_ms for one in self._store.revocations), default=None)

    def check(self) -> None:
        """Asserts every invariant; takes time in proportion to the state."""
        check_store(self._store)
        check_hash(self._store, self._answers, self.hash_sum)

    def story(self, key: str) -> str:
        """What happened to the node, the serial or the authority of this name."""
        return story_of(self._store, key)

    def _decide(self, command: Command) -> tuple[Plan | None, TrustOutcome]:
        revision = self._store.revision
        try:
            check_header(command.header)
            plan = _PLANNERS[type(command)](self._store, command)
        except ValueRefusal as refusal:
            return None, self._refused(refusal.kind, refusal.message, Reason.INVALID_VALUE)
        except Refusal as refusal:
            return None, self._refused(refusal.kind, refusal.message, refusal.reason)
        if plan.put or plan.gone:
            return plan, TrustOutcome(OutcomeKind.APPLIED, revision + 1, plan.subject)
        return plan, TrustOutcome(OutcomeKind.UNCHANGED, revision, plan.subject)

    def _refused(self, kind: OutcomeKind, message: str, reason: Reason) -> TrustOutcome:
        return TrustOutcome(kind, self.revision, message=message, reason=reason)

    def _commit(self, plan: Plan) -> None:
        store = self._store
        store.revision += 1
        for row in plan.gone:
            store.drop(row)
        for row in plan.put:
            store.put(row)
        self._let_go(store.reached_ms)

    def _let_go(self, now_ms: int) -> None:
        """Drop what has expired by itself."""
        store = self._store
        for revocation in [one for one in store.revocations if one.expires_ms < now_ms]:
            store.drop(revocation)
        oldest_ms = now_ms - Limits.CERTIFICATE_KEPT_MS
        for certificate in [one for one in store.certificates if one.not_after_ms < oldest_ms]:
            store.drop(certificate)

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

    def freeze(self) -> TrustState:
        """The whole state, of immutable values."""
        return TrustState(
            revision=self.revision,
            state_hash=self.hash_sum.to_bytes(HASH_BYTES, "big"),
            rows=tuple(self._store.rows()),
            requests=self._answers.freeze(),
        )

    @classmethod
    def thaw(cls, state: TrustState) -> Trust:
        """A machine with that state. The hash is made anew; who reads a snapshot compares it with the stored one."""
        store = Store(state.revision)
        for row in state.rows:
            store.put(row)
        machine = cls(store)
        machine._answers.thaw(state.requests)
        return machine


def _reused(revision: int, message: str) -> TrustOutcome:
    return TrustOutcome(OutcomeKind.REQUEST_REUSED, revision, message=message, reason=Reason.REQUEST_REUSED)
