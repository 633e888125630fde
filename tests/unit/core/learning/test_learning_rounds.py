"""Rounds: one at a time, one intent for a base version, and nothing of a past term."""

from __future__ import annotations

import pytest
from tests.unit.core.learning.facts import (
    FIRST,
    JOB,
    NEWER,
    NODES,
    activation,
    define,
    digest,
    evaluation,
    fixing,
    founded,
    header,
    intent,
    opening,
    result,
    round_id,
    seed,
)

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.learning.commands import AbandonRound, Command, SetOptOut, SwitchJob
from weftmesh.core.learning.model import AbandonCause, Coordinator, Round, RoundKind, RoundStage
from weftmesh.core.learning.outcomes import Reason, Verb

OTHER_ROSTER = digest("another roster")


def abandoning(number: int, by: Coordinator = FIRST) -> AbandonRound:
    return AbandonRound(header(), JOB, by, round_id(number), "too slow")


def stage_of(mesh_round: Round | None) -> RoundStage:
    assert mesh_round is not None
    return mesh_round.stage


def test_a_round_ends_with_a_version_of_the_contributors_in_its_intent() -> None:
    mesh = founded()

    mesh.done(opening(1), intent(1, active=NODES[:4], dead=NODES[4:]), result(1))

    version = mesh.learning.version(JOB, 2)
    assert version is not None
    assert (version.parent, version.contributors, version.signer) == (1, 4, FIRST)
    assert stage_of(mesh.learning.round(round_id(1))) is RoundStage.DONE
    verbs = [event.verb for event in mesh.events]
    assert verbs[-3:] == [Verb.ROUND_OPENED, Verb.INTENT_COMMITTED, Verb.VERSION_ADDED]


def test_a_roster_may_be_fixed_after_the_opening_and_before_the_intent() -> None:
    mesh = founded()
    mesh.done(opening(1, roster=b""))
    mesh.refused(intent(1), Reason.ROSTER_DIFFERS, "fix it first")
    mesh.refused(fixing(1, (*NODES, "n9")), Reason.ROSTER_DIFFERS, "leave them out")
    mesh.refused(fixing(1, NODES[:2]), Reason.TOO_FEW_CONTRIBUTORS, "wait")
    mesh.done(fixing(1, NODES[:4]))
    mesh.refused(fixing(1, NODES[:3]), Reason.ROSTER_DIFFERS, "abandon the round")
    assert mesh.ask(fixing(1, NODES[:4])).kind is OutcomeKind.UNCHANGED
    assert mesh.ask(opening(1, roster=b"")).kind is OutcomeKind.UNCHANGED
    mesh.done(intent(1, active=NODES[:4]))
    mesh.refused(fixing(1, NODES[:3]), Reason.ROUND_STAGE, "before the intent")


def test_one_round_of_a_job_is_under_way() -> None:
    mesh = founded()
    mesh.done(opening(1))
    mesh.refused(opening(2), Reason.ROUND_UNDER_WAY, "finish it or abandon it first")
    mesh.refused(opening(1, nodes=NODES[:3]), Reason.ROUND_EXISTS, "draw a new id")
    mesh.done(abandoning(1), opening(2))
    assert mesh.ask(abandoning(1)).kind is OutcomeKind.UNCHANGED


def test_a_newer_term_takes_the_place_of_a_round_without_an_intent() -> None:
    mesh = founded()
    mesh.done(opening(1), opening(2, by=NEWER))
    left = mesh.learning.round(round_id(1))
    assert left is not None
    assert left.stage is RoundStage.ABANDONED
    assert "n2 leads since term 6" in left.why


def test_a_newer_term_must_end_a_round_with_an_intent_itself() -> None:
    mesh = founded()
    mesh.done(opening(1), intent(1))
    mesh.refused(opening(2, by=NEWER), Reason.ROUND_UNDER_WAY, "version 1 is closed then")
    mesh.done(abandoning(1, by=NEWER))
    mesh.refused(opening(2, by=NEWER), Reason.BASE_CLOSED, "go on from another version")
    mesh.done(seed("other weights", by=NEWER), opening(2, 2, by=NEWER))


@pytest.mark.parametrize(
    "stale",
    [
        opening(2),
        fixing(1, NODES),
        intent(1),
        abandoning(1),
        seed("late"),
        result(1),
        evaluation(1),
        activation(1),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_command_of_a_past_term_is_refused(stale: Command) -> None:
    mesh = founded()
    mesh.done(opening(1, by=NEWER))
    outcome = mesh.refused(stale, Reason.STALE_TERM, "stand down")
    assert outcome.kind is OutcomeKind.PRECONDITION


def test_a_term_has_one_coordinator() -> None:
    mesh = founded()
    mesh.refused(opening(1, by=Coordinator("n3", FIRST.term)), Reason.STALE_TERM, "a term has one leader")


def test_an_intent_is_committed_once_and_repeating_it_changes_nothing() -> None:
    mesh = founded()
    mesh.done(opening(1), intent(1))
    assert mesh.ask(intent(1)).kind is OutcomeKind.UNCHANGED
    assert mesh.ask(intent(1, by=NEWER)).kind is OutcomeKind.UNCHANGED
    mesh.refused(intent(1, active=NODES[:4], dead=NODES[4:]), Reason.BASE_CLOSED, "what one of them sent")
    kept = mesh.learning.intent(JOB, RoundKind.TRAINING, 1)
    assert kept is not None
    assert kept.active == NODES


def test_a_base_version_stays_closed_when_its_round_is_lost() -> None:
    mesh = founded()
    mesh.done(opening(1), intent(1), abandoning(1))
    mesh.refused(opening(2, nodes=NODES[:4]), Reason.BASE_CLOSED, "closed to training")
    mesh.done(opening(3, kind=RoundKind.EVALUATION))


def test_the_same_model_does_not_come_back_under_another_number() -> None:
    mesh = founded()
    outcome = mesh.refused(seed(), Reason.MODEL_KNOWN, "start from other weights")
    assert outcome.current_version == 1
    mesh.done(opening(1), intent(1))
    mesh.refused(result(1, "seed"), Reason.MODEL_KNOWN, "version 1")


@pytest.mark.parametrize(
    ("wrong", "reason", "saying"),
    [
        (intent(1, active=NODES, dead=("n1",)), Reason.ROSTER_DIFFERS, "both active and dead"),
        (intent(1, active=NODES[:4]), Reason.ROSTER_DIFFERS, "look at n5"),
        (intent(1, active=(*NODES, "n6")), Reason.ROSTER_DIFFERS, "look at n6"),
        (intent(1, active=NODES[:3], dead=NODES[3:]), Reason.TOO_FEW_CONTRIBUTORS, "4 have to be"),
        (intent(1, roster=OTHER_ROSTER), Reason.ROSTER_DIFFERS, "unmask nothing"),
        (intent(1, base=2), Reason.ROSTER_DIFFERS, "is on version 1"),
        (intent(9), Reason.NO_SUCH_ROUND, "open it"),
        (intent(1, active=("n1", "n1", "n2", "n3")), Reason.INVALID_VALUE, "name each once"),
    ],
)
def test_an_intent_that_is_not_the_round_s_is_refused(wrong: Command, reason: Reason, saying: str) -> None:
    mesh = founded()
    mesh.done(opening(1))
    mesh.refused(wrong, reason, saying)
    assert stage_of(mesh.learning.round(round_id(1))) is RoundStage.OPEN


def test_the_floor_holds_where_the_threshold_is_lower() -> None:
    mesh = founded()
    mesh.done(define(version=1, floor=4, percent=50), opening(1))
    mesh.refused(intent(1, active=NODES[:3], dead=NODES[3:]), Reason.TOO_FEW_CONTRIBUTORS, "4 have to be")
    mesh.done(intent(1, active=NODES[:4], dead=NODES[4:]))


def test_three_of_three_make_an_intent_and_two_do_not() -> None:
    mesh = founded()
    mesh.done(opening(1, nodes=NODES[:3]))
    mesh.refused(intent(1, active=NODES[:2], dead=("n3",)), Reason.TOO_FEW_CONTRIBUTORS, "3 have to be")
    mesh.done(intent(1, active=NODES[:3]))


def test_who_opted_out_is_not_counted_on() -> None:
    mesh = founded()
    mesh.done(SetOptOut(header(), "n5", JOB, why="quarter end"))
    mesh.refused(opening(1), Reason.OPTED_OUT, "n5 opted out of job effort; ask the others only")
    mesh.done(opening(1, nodes=NODES[:4]), SetOptOut(header(), "n4"))
    mesh.refused(intent(1, active=NODES[:4]), Reason.OPTED_OUT, "count them as dead")
    mesh.done(intent(1, active=NODES[:3], dead=("n4",)))
    mesh.done(result(1), SetOptOut(header(), "n5", JOB, out=False), SetOptOut(header(), "n4", out=False))
    assert mesh.ask(SetOptOut(header(), "n4", out=False)).kind is OutcomeKind.UNCHANGED
    mesh.done(opening(2, 2))


def test_an_opt_out_during_a_roster_is_heeded() -> None:
    mesh = founded()
    mesh.done(opening(1, roster=b""), SetOptOut(header(), "n2", why="no"))
    mesh.refused(fixing(1, NODES), Reason.OPTED_OUT, "leave them out of the roster")


def test_a_disabled_job_opens_nothing_and_unmasks_nothing() -> None:
    mesh = founded()
    mesh.done(opening(1), SwitchJob(header(), JOB, enabled=False))
    mesh.refused(intent(1), Reason.JOB_DISABLED, "abandon the round")
    mesh.done(abandoning(1))
    mesh.refused(opening(2), Reason.JOB_DISABLED, "enable it")
    mesh.done(SwitchJob(header(), JOB, enabled=True), opening(2))


def test_what_is_over_cannot_go_on() -> None:
    mesh = founded()
    mesh.done(opening(1), abandoning(1))
    mesh.refused(intent(1), Reason.ROUND_STAGE, "open another round")
    mesh.refused(result(1), Reason.ROUND_STAGE, "after its intent")
    mesh.train(2, 1)
    mesh.refused(abandoning(2), Reason.ROUND_STAGE, "retire what it made")
    assert mesh.ask(result(2)).kind is OutcomeKind.UNCHANGED
    mesh.refused(result(2, "other bytes"), Reason.ROUND_STAGE, "before the round is over")


def test_a_round_needs_a_base_version_that_is_kept_and_fit() -> None:
    mesh = founded()
    mesh.refused(opening(1, 7), Reason.NO_SUCH_VERSION, "has no version 7")
    mesh.refused(opening(1, nodes=NODES[:2]), Reason.TOO_FEW_CONTRIBUTORS, "at least 3")


def test_an_abandonment_keeps_its_cause_and_an_unknown_one_is_refused() -> None:
    mesh = founded()
    mesh.done(opening(1))
    mesh.done(AbandonRound(header(), JOB, FIRST, round_id(1), "known", AbandonCause.ANSWERED_BEFORE))
    ended = mesh.learning.round(round_id(1))
    assert ended is not None
    assert ended.cause is AbandonCause.ANSWERED_BEFORE
    mesh.done(opening(2))
    unknown = AbandonRound(header(), JOB, FIRST, round_id(2), "known", 7)  # type: ignore[arg-type]
    mesh.refused(unknown, Reason.INVALID_VALUE, "cause: 7")
