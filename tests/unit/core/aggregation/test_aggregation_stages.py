"""Deadlines, losses, the log's answers, and the stories that are told of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.core.aggregation.rounds import Mesh, terms_for

from weftmesh.core.aggregation.coordinator import RoundCoordinator
from weftmesh.core.aggregation.events import ContributorLost, IntentRefused, IntentShown, Start, TermShown, Tick
from weftmesh.core.aggregation.messages import KeyAdvertisement, MaskedInput, RosterAnnouncement, ShareUpload
from weftmesh.core.aggregation.outcomes import RefusalReason
from weftmesh.core.aggregation.round_state import RoundStage
from weftmesh.core.errors import InvalidInputError


def test_bad_terms_make_no_coordinator() -> None:
    with pytest.raises(InvalidInputError, match="threshold 2 of 5"):
        RoundCoordinator(replace(terms_for(5), threshold=2), verify=lambda statements: [True for _ in statements])


def test_nobody_waits_for_a_contributor_that_is_known_to_be_lost() -> None:
    mesh = Mesh(5)
    mesh.to_coordinator = lambda name, message: None if name == "n03" else message
    mesh.open(terms_for(5))
    for _stage in (KeyAdvertisement, ShareUpload, MaskedInput):
        mesh.settle()
        mesh.tell_coordinator(ContributorLost("n03"))
        mesh.settle()
    assert mesh.result == mesh.expected()
    assert mesh.now_s == 0.0


def test_a_stage_ends_at_its_deadline() -> None:
    mesh = Mesh(5)
    mesh.to_coordinator = lambda name, message: None if (name, type(message)) == ("n03", ShareUpload) else message
    mesh.open(terms_for(5))
    mesh.settle()
    deadline_s = mesh.coordinator.next_deadline()
    assert deadline_s is not None
    mesh.now_s = deadline_s - 0.001
    mesh.tell_coordinator(Tick())
    assert mesh.stage() is RoundStage.SHARING
    mesh.now_s = deadline_s
    mesh.tell_coordinator(Tick())
    assert mesh.stage() is RoundStage.MASKING


def test_a_vector_that_comes_late_is_not_counted() -> None:
    mesh = Mesh(5)
    late = []

    def delay(name: str, message: object) -> None:
        late.append((name, message))

    mesh.to_coordinator = lambda name, message: (
        delay(name, message) if (name, type(message)) == ("n03", MaskedInput) else message
    )
    mesh.open(terms_for(5))
    mesh.settle()
    mesh.now_s = mesh.coordinator.next_deadline() or 0.0
    mesh.tell_coordinator(Tick())
    assert mesh.stage() is RoundStage.COMMITTING
    mesh.settle()
    assert mesh.result == mesh.expected()
    assert "n03" not in mesh.summed
    assert len(late) == 1


def test_a_refused_intent_abandons_the_round() -> None:
    mesh = Mesh(3)
    mesh.open(terms_for(3))
    while mesh.stage() is not RoundStage.COMMITTING:
        mesh.deliver(mesh.letters.popleft())
    mesh.tell_coordinator(IntentRefused("the privacy budget is spent"))
    assert mesh.stage() is RoundStage.ABANDONED
    assert "the privacy budget is spent" in mesh.coordinator.story(terms_for(3).round_id)


def test_another_intent_on_the_base_version_abandons_the_round() -> None:
    mesh = Mesh(3)
    mesh.open(terms_for(3))
    while mesh.stage() is not RoundStage.COMMITTING:
        mesh.deliver(mesh.letters.popleft())
    intent = next(letter.event.intent for letter in mesh.letters if isinstance(letter.event, IntentShown))
    mesh.tell_coordinator(IntentShown(replace(intent, round_id=bytes(16))))
    assert mesh.stage() is RoundStage.ABANDONED


def test_a_newer_term_ends_the_round_on_both_sides() -> None:
    mesh = Mesh(3)
    mesh.open(terms_for(3))
    mesh.deliver(mesh.letters.popleft())
    mesh.tell_coordinator(TermShown(3))
    assert mesh.stage() is RoundStage.ADVERTISING
    mesh.tell_coordinator(TermShown(4))
    assert mesh.stage() is RoundStage.ABANDONED
    mesh.tell("n00", TermShown(4))
    assert [one.reason for one in mesh.ended] == ["term 4 began", "term 4 began"]


def test_a_round_starts_once_and_ends_once() -> None:
    mesh = Mesh(3)
    mesh.run()
    refused = mesh.tell_coordinator(Start())
    assert refused is not None
    assert refused.reason is RefusalReason.OUT_OF_STAGE
    assert mesh.coordinator.next_deadline() is None


def test_the_story_of_a_round_names_who_was_missing() -> None:
    mesh = Mesh(5)
    mesh.to_contributor = lambda name, message: (
        None if (name, type(message)) == ("n03", RosterAnnouncement) else message
    )
    mesh.run()
    told = mesh.coordinator.story(terms_for(5).round_id)
    assert "sharing ended at the deadline; missing: n03" in told
    assert "done: a sum of 4 vectors" in told
    assert "answered" in mesh.contributors["n00"].story(terms_for(5).round_id)
    assert "nothing is known" in mesh.contributors["n00"].story(bytes(16))
