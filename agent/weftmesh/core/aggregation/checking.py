"""The invariants of both machines."""

# ruff: noqa: S101 - assertions are what this module is for

from __future__ import annotations

from weftmesh.core.aggregation.contributor_stages import Advertised, Shared, Stage, check_intent
from weftmesh.core.aggregation.memory import ContributorMemory
from weftmesh.core.aggregation.round_state import RoundStage, RoundState
from weftmesh.core.aggregation.terms import ContributorPolicy, RoundTerms, check_policy, check_terms


def check_stage(stage: Stage, name: str, policy: ContributorPolicy, memory: ContributorMemory) -> None:
    """Asserts what holds of the open round of the contributor `name`."""
    terms = stage.terms
    check_terms(terms)
    check_policy(terms, policy, name)
    assert terms.term == memory.term, "the round of an old term is still open"
    assert not memory.has_answered(terms.job, terms.base_version), "the base version is closed and its round open"
    if isinstance(stage, Advertised):
        assert stage.advertisement.contributor == name
    elif isinstance(stage, Shared):
        assert set(stage.peers) == set(stage.roster.names) - {name}
        assert len(stage.peers) + 1 >= terms.needed
    else:
        assert name in stage.shares
        assert len(stage.shares) >= terms.needed
        if stage.intent is not None:
            check_intent(stage, name, stage.intent)


def check_round(state: RoundState, terms: RoundTerms) -> None:
    """Asserts what holds of a coordinator's round in every stage."""
    check_terms(terms)
    if state.stage.is_over:
        assert state == RoundState(state.stage), "what a round needed is gone when it is over"
        return
    assert set(state.keys) <= set(terms.contributors)
    assert (state.roster is not None) == (state.stage not in (RoundStage.CREATED, RoundStage.ADVERTISING))
    assert set(state.uploads) <= set(state.keys)
    assert state.inputs <= set(state.uploads)
    assert set(state.answers) <= state.inputs
    assert (state.intent is not None) == (state.stage in (RoundStage.COMMITTING, RoundStage.UNMASKING))
    if state.roster is not None:
        assert set(state.roster.names) == set(state.keys)
        assert len(state.keys) >= terms.needed
    if state.intent is not None:
        assert set(state.intent.active) == state.inputs
        assert set(state.intent.dead) == set(state.keys) - state.inputs
        assert len(state.inputs) >= terms.needed
