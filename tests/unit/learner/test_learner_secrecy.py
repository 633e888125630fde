"""Whole rounds over real learners: what they add up to, what they refuse, and what they never say."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.learner.learners import CANARY, JOB, FakeNode, Learners, Outcome, add_version, tasks, work_for

from weftmesh.core.aggregation.messages import (
    Invitation,
    KeyAdvertisement,
    ShareDelivery,
    UnmaskIntent,
    UnmaskRequest,
    UnmaskShares,
)
from weftmesh.core.errors import DataCorruptionError, NodeUnreachableError
from weftmesh.core.forecast.averaging import server_step
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import BUCKETS, COUNTS_LENGTH, DIMENSIONS, DocumentCounts, raw_features
from weftmesh.core.forecast.model_bytes import decode_model, encode_model
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.count_noise import COUNT_SIGMA
from weftmesh.learner.memory_file import MemoryFile
from weftmesh.learner.node import LabelledTask
from weftmesh.learner.secrecy import OPT_OUT_FILE
from weftmesh.learner.trainer import BASELINE_LOSS, LOSS, MODEL_LOSS
from weftmesh.learner.training.round import TrainingSettings, mean_update, train_round
from weftmesh.learner.training.team import TeamData
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.wire.envelopes import FlowerMessage, LearnerRefusal, Work, unseal

EVALUATION_METRICS = (MODEL_LOSS, BASELINE_LOSS)


@pytest.fixture
def learners(tmp_path: Path) -> Learners:
    return Learners(tmp_path)


def trained_labels(learners: Learners, name: str) -> list[LabelledTask]:
    """What a node may train on: its oldest four fifths."""
    (made,) = learners.nodes[name].tasks.values()
    return made[: len(made) * 4 // 5]


def untrained(learners: Learners) -> bytes:
    """Version 1, committed: no round has changed it yet."""
    counts = sum_counts(learners)
    model = encode_model(EffortModel.untrained(counts.statistics()))
    add_version(learners.replica, 1, model)
    return model


def sum_counts(learners: Learners) -> DocumentCounts:
    return DocumentCounts.of(
        raw_features(task.text) for name in learners.names for task in trained_labels(learners, name)
    )


def train(learners: Learners, model: bytes, base_version: int = 1) -> Outcome:
    return learners.round(RoundKind.TRAINING, DIMENSIONS, base_version=base_version, model=model, metrics=(LOSS,))


def test_statistics_are_the_sums_over_all_nodes_and_leave_the_newest_fifth_out(learners: Learners) -> None:
    outcome = learners.round(RoundKind.STATISTICS, COUNTS_LENGTH)
    assert outcome.mean is not None, outcome.why
    counts = outcome.mean.update * outcome.mean.weight
    exact = np.asarray(sum_counts(learners).to_vector())
    counted = 1 + BUCKETS
    np.testing.assert_allclose(counts[counted:], exact[counted:], atol=1e-3)
    noise = counts[:counted] - exact[:counted]
    assert float(np.std(noise)) == pytest.approx(COUNT_SIGMA * math.sqrt(3), rel=0.05), "each node's own, added up"
    again = learners.round(RoundKind.STATISTICS, COUNTS_LENGTH, base_version=1)
    assert again.mean is not None, again.why
    np.testing.assert_array_equal(again.mean.update, outcome.mean.update, "what was counted twice is not averaged")


def test_a_training_round_gives_the_mean_of_what_each_node_learned(learners: Learners) -> None:
    model = untrained(learners)
    outcome = train(learners, model)
    assert outcome.mean is not None, (outcome.why, learners.refused)
    base = decode_model(model)
    alone = []
    for name in learners.names:
        labels = trained_labels(learners, name)
        data = TeamData.of([raw_features(one.text) for one in labels], [one.effort for one in labels], base.statistics)
        alone.append(train_round([data], base, TrainingSettings()))
    np.testing.assert_allclose(outcome.mean.update, mean_update(alone), atol=2e-7)
    assert outcome.mean.weight == pytest.approx(sum(one.weight for one in alone), abs=1e-6)


def test_rounds_make_a_model_that_beats_the_median_on_labels_it_was_not_trained_on(learners: Learners) -> None:
    model = untrained(learners)
    for version in range(1, 9):
        outcome = train(learners, model, version)
        assert outcome.mean is not None, (outcome.why, learners.refused)
        model = encode_model(server_step(decode_model(model), outcome.mean.update.tolist()))
        add_version(learners.replica, version + 1, model)
    judged = learners.round(RoundKind.EVALUATION, 0, base_version=9, model=model, metrics=EVALUATION_METRICS)
    assert judged.mean is not None, (judged.why, learners.refused)
    assert judged.mean.weight == pytest.approx(3 * 8)
    assert judged.mean.metrics[MODEL_LOSS] < 0.8 * judged.mean.metrics[BASELINE_LOSS]


def test_no_word_of_a_task_is_in_anything_a_learner_says(learners: Learners) -> None:
    model = untrained(learners)
    train(learners, model)
    learners.round(RoundKind.STATISTICS, COUNTS_LENGTH)
    learners.nodes["n00"].tasks["P00"] = []
    train(learners, model)
    assert len(learners.said) > 20
    assert not [one for one in learners.said if CANARY.encode() in one or b"P00" in one]


def test_a_vector_looks_like_noise(learners: Learners) -> None:
    model = untrained(learners)
    train(learners, model)
    vectors = [one for one in learners.said if len(one) > 8 * DIMENSIONS]
    assert len(vectors) == 3
    words = np.frombuffer(vectors[0][-8 * DIMENSIONS :], dtype="<u8")
    # Plain fixed point of small numbers would leave the high bits all 0 or all 1.
    assert len(np.unique(words >> np.uint64(56))) == 256


@pytest.mark.parametrize("count", [4, 5])
def test_a_node_that_is_lost_after_it_shared_is_taken_out_of_the_sum(tmp_path: Path, count: int) -> None:
    learners = Learners(tmp_path, count)
    model = untrained(learners)
    learners.silent["n01"] = ShareDelivery
    outcome = train(learners, model)
    assert outcome.mean is not None, outcome.why
    assert outcome.contributors == tuple(name for name in learners.names if name != "n01")


def test_a_second_sum_over_the_same_base_version_is_refused_also_by_the_next_process(learners: Learners) -> None:
    model = untrained(learners)
    assert train(learners, model).mean is not None
    assert train(learners, model).mean is None
    assert {one.reason for one in learners.refused.values()} == {"ALREADY_ANSWERED"}
    learners.refused.clear()
    learners.learners = {name: learners.learner(name) for name in learners.names}
    assert train(learners, model).mean is None
    assert {one.reason for one in learners.refused.values()} == {"ALREADY_ANSWERED"}


def test_what_the_mesh_has_settled_binds_a_node_that_lost_its_memory(learners: Learners) -> None:
    model = untrained(learners)
    assert train(learners, model).mean is not None
    for name in learners.names:
        (learners.state_dir(name) / "memory").unlink()
    learners.learners = {name: learners.learner(name) for name in learners.names}
    assert train(learners, model).mean is None
    assert {one.reason for one in learners.refused.values()} == {"ALREADY_ANSWERED"}


def test_a_damaged_memory_refuses_to_train_and_says_what_to_do(learners: Learners) -> None:
    train(learners, untrained(learners))
    path = learners.state_dir("n00") / "memory"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataCorruptionError, match="restore it from a backup"):
        learners.learner("n00")


def test_the_answer_to_unmask_is_durable_before_it_is_given(learners: Learners) -> None:
    train(learners, untrained(learners))
    memory = MemoryFile(learners.state_dir("n00")).load()
    assert memory.has_answered(f"{JOB}/training", 1)
    assert not memory.has_answered(f"{JOB}/evaluation", 1)


def test_nothing_is_unmasked_when_it_cannot_be_remembered(learners: Learners) -> None:
    """A directory in the place of the file stands for a disk that takes no more."""
    for name in learners.names:
        (learners.state_dir(name) / "memory").mkdir()
    model = untrained(learners)
    with pytest.raises(OSError, match="memory"):
        train(learners, model)
    assert not [one for one in learners.said if isinstance(unseal(one), UnmaskShares)]


def test_unmasking_waits_for_the_node_s_own_replica(learners: Learners) -> None:
    learners.replica.hides_intents = True
    outcome = train(learners, untrained(learners))
    assert outcome.mean is None
    assert {one.reason for one in learners.refused.values()} == {"INTENT_NOT_SHOWN"}


def test_a_plain_message_is_refused(learners: Learners) -> None:
    model = untrained(learners)
    for kind in RoundKind:
        answer = learners.ask("n00", FlowerMessage(work_for(kind, model)))
        assert isinstance(answer, LearnerRefusal)
        assert answer.reason == "PLAIN_TRAINING_REFUSED"


def test_work_that_is_not_what_the_round_was_opened_for_is_refused(learners: Learners) -> None:
    """A training smuggled into a round for statistics would make a second sum over one base version."""
    model = untrained(learners)
    outcome = learners.round(
        RoundKind.STATISTICS,
        DIMENSIONS,
        base_version=1,
        model=model,
        settings=RoundSettings("effort", RoundKind.TRAINING),
    )
    assert outcome.mean is None
    assert {one.reason for one in learners.refused.values()} == {"NOT_ASSIGNED"}


def test_a_model_that_is_not_the_base_version_is_refused(learners: Learners) -> None:
    model = untrained(learners)
    learners.replica.versions[1] = bytes(32)
    assert train(learners, model).mean is None
    assert {one.reason for one in learners.refused.values()} == {"NOT_ASSIGNED"}


def test_the_owner_s_file_wins_over_everything(learners: Learners) -> None:
    model = untrained(learners)
    (learners.state_dir("n02") / OPT_OUT_FILE).touch()
    assert train(learners, model).mean is None, "three are needed"
    assert learners.refused["n02"].reason == "OPTED_OUT"
    (learners.state_dir("n02") / OPT_OUT_FILE).unlink()
    learners.replica.opted_out.add("n01")
    learners.refused.clear()
    assert train(learners, model).mean is None
    assert learners.refused["n01"].reason == "OPTED_OUT"


def test_an_owner_who_opts_out_in_the_middle_of_a_round_is_heeded_at_once(learners: Learners) -> None:
    terms = learners.terms(RoundKind.TRAINING, 1, DIMENSIONS + 1)
    assert isinstance(learners.ask("n00", Invitation(terms)), KeyAdvertisement)
    learners.replica.opted_out.add("n00")
    answer = learners.ask("n00", Work(ShareDelivery(terms.round_id, terms.term, bytes(32), ()), b"", ()))
    assert isinstance(answer, LearnerRefusal)
    assert answer.reason == "OPTED_OUT"


def test_a_job_that_nobody_enabled_is_refused(learners: Learners) -> None:
    learners.replica.enabled = False
    answer = learners.ask("n00", Invitation(learners.terms(RoundKind.TRAINING, 1, 10)))
    assert isinstance(answer, LearnerRefusal)
    assert answer.reason == "JOB_NOT_ENABLED"


def test_an_older_term_than_the_node_knows_is_refused(learners: Learners) -> None:
    terms = learners.terms(RoundKind.TRAINING, 1, 10)
    learners.replica.term = 4
    answer = learners.ask("n00", Invitation(terms))
    assert isinstance(answer, LearnerRefusal)
    assert answer.reason == "STALE_TERM"


def test_an_invitation_of_another_job_or_without_a_kind_is_refused(learners: Learners) -> None:
    terms = learners.terms(RoundKind.TRAINING, 1, 10)
    for odd in ("other/training", JOB):
        answer = learners.ask("n00", Invitation(replace(terms, job=odd)))
        assert isinstance(answer, LearnerRefusal)
        assert answer.reason in ("INVALID_INPUT", "SUM_NAME_INVALID")


def test_work_and_unmasking_outside_of_a_round_are_refused(learners: Learners) -> None:
    model = untrained(learners)
    work = Work(ShareDelivery(bytes(16), 3, bytes(32), ()), work_for(RoundKind.TRAINING, model), ())
    intent = UnmaskIntent(f"{JOB}/training", 1, bytes(16), bytes(32), learners.names, (), 3)
    for letter in (work, UnmaskRequest(intent)):
        answer = learners.ask("n00", letter)
        assert isinstance(answer, LearnerRefusal)
        assert answer.reason == "WRONG_ROUND"


def test_garbage_is_refused(learners: Learners) -> None:
    for payload in (b"", b"\xff\xff", bytes(100)):
        answer = unseal(learners.learners["n00"].answer(JOB, learners.replica.term, payload))
        assert isinstance(answer, LearnerRefusal)


def test_a_node_without_labels_sits_the_round_out(tmp_path: Path) -> None:
    learners = Learners(tmp_path, 4)
    model = untrained(learners)
    learners.nodes["n03"].tasks["P03"] = tasks(learners.rng, 3)
    outcome = train(learners, model)
    assert outcome.contributors == ("n00", "n01", "n02")
    assert learners.refused["n03"].reason == "NOTHING_TO_LEARN"


class UnreachableNode(FakeNode):
    def sign(self, statement: bytes) -> bytes:
        raise NodeUnreachableError("unix:/home/ada/customer-x/agent.sock does not answer")


def test_what_the_machine_refuses_quotes_no_path(learners: Learners) -> None:
    learners.nodes["n00"] = UnreachableNode("n00", learners.replica, {})
    learners.learners["n00"] = learners.learner("n00")
    answer = learners.ask("n00", Invitation(learners.terms(RoundKind.STATISTICS, 0, COUNTS_LENGTH + 1)))
    assert isinstance(answer, LearnerRefusal)
    assert answer.reason == "SIGNING_FAILED"
    assert "does not answer" in answer.message
    assert "ada" not in answer.message
