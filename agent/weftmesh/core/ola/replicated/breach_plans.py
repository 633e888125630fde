"""Breaches: what the evaluation found, written down so that the next leader knows what the last one began."""

from __future__ import annotations

from dataclasses import replace

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import quoted
from weftmesh.core.board.validate import free_text
from weftmesh.core.ola.replicated.commands import CloseBreach, OpenBreach
from weftmesh.core.ola.replicated.outcomes import Reason, Verb
from weftmesh.core.ola.replicated.plans import (
    Change,
    Happening,
    Plan,
    Refusal,
    Unchanged,
    agreement_named,
    check_objective,
    invalid,
)
from weftmesh.core.ola.replicated.rows import Breach, Limits
from weftmesh.core.ola.replicated.store import Store
from weftmesh.core.ola.replicated.validate import check_moment


def plan_open_breach(store: Store, command: OpenBreach) -> Plan:
    """An open breach; an objective has at most one."""
    found = agreement_named(store, command.name)
    check_objective(found, command.objective)
    check_moment("started_s", command.started_s)
    breaches = store.breaches_of(command.name, command.objective)
    is_known = (command.name, command.objective, command.started_s) in store.breaches
    if is_known or any(not one.ended_s for one in breaches):
        return Unchanged(command.name)
    breach = Breach(command.name, command.objective, command.started_s, ended_s=0, evidence=_evidence(command.evidence))
    happening = Happening(Verb.BREACH_OPENED, command.name, found.number, command.objective)
    return Change(command.name, (breach,), happenings=(happening,))


def plan_close_breach(store: Store, command: CloseBreach) -> Plan:
    """A breach that is over. Its agreement or objective may be gone meanwhile."""
    breach = store.breaches.get((command.name, command.objective, command.started_s))
    if breach is None:
        raise Refusal(
            Reason.NO_SUCH_BREACH,
            f"{quoted(command.name)} has no breach of {quoted(command.objective)} from {quoted(command.started_s)}",
            OutcomeKind.NOT_FOUND,
        )
    if breach.ended_s:
        return Unchanged(command.name)
    check_moment("ended_s", command.ended_s)
    ended = replace(breach, ended_s=command.ended_s, evidence=_evidence(command.evidence))
    happening = Happening(Verb.BREACH_CLOSED, command.name, note=command.objective)
    return Change(command.name, (ended,), happenings=(happening,))


def _evidence(text: str) -> str:
    found = free_text("evidence", text)
    if len(found) > Limits.EVIDENCE_CHARACTERS:
        raise invalid(f"evidence: has {len(found)} characters, the limit is {Limits.EVIDENCE_CHARACTERS}")
    return found
