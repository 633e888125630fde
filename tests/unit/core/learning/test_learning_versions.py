"""Versions: candidates until they are shown to be better, and a way back from each that was active."""

from __future__ import annotations

import pytest
from tests.unit.core.learning.facts import (
    BETTER,
    FIRST,
    JOB,
    NODES,
    WORSE,
    activation,
    define,
    digest,
    evaluation,
    founded,
    header,
    intent,
    opening,
    result,
    round_id,
    seed,
)

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.learning.commands import ActivateVersion, AddVersion, Command, RetireVersion, RollBack
from weftmesh.core.learning.model import HeadSums, Limits, Metric, RoundKind, VersionStage
from weftmesh.core.learning.outcomes import Reason, Verb


def rolling_back(version: int, expected: int) -> RollBack:
    return RollBack(header(), JOB, version, expected, "worse in production")


def retiring(version: int) -> RetireVersion:
    return RetireVersion(header(), JOB, version, "of no use")


def test_a_candidate_that_beats_the_baseline_becomes_the_active_version() -> None:
    mesh = founded()
    number = mesh.train(1, 1)
    mesh.refused(activation(number), Reason.NOT_BETTER, "it was never evaluated; evaluate it")
    mesh.evaluate(2, number)
    mesh.done(activation(number))
    active = mesh.learning.active_version(JOB)
    assert active is not None
    assert (active.number, active.stage) == (2, VersionStage.ACTIVE)
    assert mesh.ask(activation(number)).kind is OutcomeKind.UNCHANGED


def test_a_candidate_that_does_not_is_taken_by_a_person_only() -> None:
    mesh = founded()
    number = mesh.train(1, 1)
    mesh.evaluate(2, number, WORSE)
    mesh.refused(activation(number), Reason.NOT_BETTER, "its loss in effort is 0.95 an example, the baseline's 0.9")
    by_coordinator = ActivateVersion(header(), JOB, number, 0, FIRST, unevaluated=True)
    mesh.refused(by_coordinator, Reason.INVALID_VALUE, "only a person")
    mesh.done(activation(number, forced=True))
    assert mesh.events[-1].note == "not shown to be better"


@pytest.mark.parametrize(
    ("heads", "saying"),
    [
        ((HeadSums("effort", 0, 0.0, 0.0),), "saw no examples"),
        ((HeadSums("effort", 10, 9.0, 9.0),), "effort"),
        ((*BETTER, HeadSums("finish", 10, 9.0, 8.0)), "finish"),
    ],
)
def test_a_tie_or_one_worse_head_or_no_example_promotes_nothing(heads: tuple[HeadSums, ...], saying: str) -> None:
    mesh = founded()
    mesh.evaluate(1, 1, heads)
    mesh.refused(activation(1), Reason.NOT_BETTER, saying)


def test_activation_compares_and_sets() -> None:
    mesh = founded()
    mesh.train(1, 1)
    mesh.activate(2, 2)
    mesh.train(3, 2)
    mesh.evaluate(4, 3)
    outcome = mesh.refused(activation(3, expected=0), Reason.VERSION_CONFLICT, "version 2 of job effort is active")
    assert (outcome.kind, outcome.current_version) == (OutcomeKind.COLLISION, 2)
    mesh.done(activation(3, expected=2))
    former = mesh.learning.version(JOB, 2)
    assert former is not None
    assert former.stage is VersionStage.SUPERSEDED


def test_a_rollback_goes_to_an_earlier_active_version_to_the_parent_or_to_none() -> None:
    mesh = founded()
    mesh.activate(1, mesh.train(2, 1))
    mesh.train(3, 2)
    mesh.activate(4, mesh.train(5, 3))
    mesh.refused(rolling_back(1, 4), Reason.VERSION_STAGE, "never active and is not the parent")
    mesh.refused(rolling_back(3, 2), Reason.VERSION_CONFLICT, "read it again")
    mesh.done(rolling_back(3, 4))
    assert mesh.ask(rolling_back(3, 3)).kind is OutcomeKind.UNCHANGED
    mesh.refused(rolling_back(4, 3), Reason.VERSION_STAGE, "retired; choose another one")
    mesh.done(rolling_back(2, 3), rolling_back(0, 2))
    assert mesh.learning.active_version(JOB) is None
    mesh.refused(rolling_back(1, 0), Reason.VERSION_STAGE, "activate one")
    assert [event.version for event in mesh.events if event.verb is Verb.VERSION_ROLLED_BACK] == [3, 2, 0]


def test_a_version_that_was_active_is_rolled_back_to_not_activated() -> None:
    mesh = founded()
    mesh.activate(1, mesh.train(2, 1))
    mesh.activate(3, mesh.train(4, 2))
    mesh.refused(activation(2, expected=3), Reason.VERSION_STAGE, "roll back to one")


def test_a_retired_version_is_no_base_and_an_active_one_is_not_retired() -> None:
    mesh = founded()
    mesh.activate(1, mesh.train(2, 1))
    mesh.refused(retiring(2), Reason.VERSION_STAGE, "roll back to another one first")
    mesh.done(seed("other weights"), retiring(3))
    assert mesh.ask(retiring(3)).kind is OutcomeKind.UNCHANGED
    mesh.refused(opening(5, 3), Reason.VERSION_STAGE, "start from another version")


def test_a_base_that_is_retired_meanwhile_is_not_summed_over() -> None:
    mesh = founded()
    mesh.done(opening(1), retiring(1))
    mesh.refused(intent(1), Reason.VERSION_STAGE, "abandon the round")


def test_an_evaluation_round_makes_an_evaluation_and_a_training_round_a_version() -> None:
    mesh = founded()
    mesh.done(opening(1, kind=RoundKind.EVALUATION), intent(1))
    mesh.refused(result(1), Reason.ROUND_STAGE, "record its evaluation")
    mesh.done(evaluation(1))
    assert mesh.ask(evaluation(1)).kind is OutcomeKind.UNCHANGED
    mesh.refused(evaluation(1, WORSE), Reason.ROUND_STAGE, "before the round is over")
    mesh.done(opening(2))
    mesh.refused(evaluation(2), Reason.ROUND_STAGE, "add the version it made")
    found = mesh.learning.evaluation(JOB, 1)
    assert found is not None
    assert (found.contributors, found.heads) == (5, BETTER)


def test_a_statistics_round_and_a_training_round_may_sum_over_one_version() -> None:
    mesh = founded()
    mesh.done(opening(1, kind=RoundKind.STATISTICS), intent(1), result(1, "with document counts"))
    mesh.train(2, 1)
    mesh.refused(opening(3, kind=RoundKind.STATISTICS), Reason.BASE_CLOSED, "closed to statistics")


def adding(**changes: object) -> Command:
    given = {"sha256": digest("m"), "size_bytes": 1, "blob_holders": 2, **changes}
    return AddVersion(header(), JOB, FIRST, **given)  # type: ignore[arg-type]  # one wrong value at a time


@pytest.mark.parametrize(
    ("wrong", "saying"),
    [
        (adding(sha256=b"short"), "send the 32 of a SHA-256"),
        (adding(size_bytes=0), "size_bytes"),
        (adding(blob_holders=0), "store the model's bytes on a majority"),
        (adding(metrics=(Metric("loss", float("nan")),)), "finite numbers only"),
        (adding(metrics=(Metric("a", 1), Metric("a", 2))), "send each once"),
        (adding(metrics=(Metric("Bad name", 1),)), "is not a name"),
        (adding(metrics=tuple(Metric(f"m{n}", n) for n in range(Limits.METRICS + 1))), "the limit is 32"),
        (adding(round_id=b"short"), "send 16 random ones"),
    ],
)
def test_a_version_that_cannot_be_right_is_refused(wrong: Command, saying: str) -> None:
    founded().refused(wrong, Reason.INVALID_VALUE, saying)


@pytest.mark.parametrize(
    ("heads", "saying"),
    [
        ((), "send the sums of 1 to 8 heads"),
        ((HeadSums("effort", float("inf"), 0, 0),), "finite numbers only"),
        ((HeadSums("effort", -1, 0, 0),), "is negative"),
        ((*BETTER, *BETTER), "send each once"),
    ],
)
def test_an_evaluation_that_cannot_be_right_is_refused(heads: tuple[HeadSums, ...], saying: str) -> None:
    mesh = founded()
    mesh.done(opening(1, kind=RoundKind.EVALUATION), intent(1))
    mesh.refused(evaluation(1, heads), Reason.INVALID_VALUE, saying)


def test_a_parent_is_known_and_a_round_s_result_has_its_base_version() -> None:
    mesh = founded()
    mesh.refused(seed("x", parent=9), Reason.NO_SUCH_VERSION, "has no version 9")
    mesh.done(opening(1), intent(1), seed("x", parent=1))
    wrong = AddVersion(header(), JOB, FIRST, digest("y"), 1, 2, round_id(1), parent=2)
    mesh.refused(wrong, Reason.INVALID_VALUE, "send 1 or 0")
    assert mesh.done(result(1)).current_version == 3


def test_history_is_bounded_and_keeps_what_a_rollback_may_name() -> None:
    mesh = founded()
    mesh.activate(1, mesh.train(2, 1))
    for number in range(2, 2 * Limits.VERSIONS_KEPT):
        mesh.hasten(opening(10 + number, number), intent(10 + number, number), result(10 + number))
    kept = [version.number for version in mesh.learning.versions(JOB)]
    newest = kept[-1]
    assert kept == [1, 2, *range(newest - Limits.VERSIONS_KEPT + 1, newest + 1)]
    assert len(mesh.learning.rounds(JOB)) <= Limits.ROUNDS_KEPT
    mesh.refused(opening(999, 5), Reason.NO_SUCH_VERSION, "are kept, in part")
    assert mesh.learning.intent(JOB, RoundKind.TRAINING, 5) is not None
    mesh.refused(opening(999, 1, nodes=NODES[:4]), Reason.BASE_CLOSED, "closed to training")
    mesh.done(define(version=1, floor=4))
