"""A training's models: how they begin, and how one gets past a version that is closed."""

from __future__ import annotations

import math
import random

import pytest

from weftmesh.coordinator import heads, registry
from weftmesh.coordinator.heads import KICK, EffortHead, FinishHead, seed
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.features import COUNTS_LENGTH, DocumentCounts, raw_features
from weftmesh.core.forecast.finish_bytes import decode_model as decode_finish
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.forecast.model_bytes import decode_model
from weftmesh.core.forecast.text import TaskText
from weftmesh.learning.v1.learning_pb2 import JobSpec


@pytest.fixture
def untrained() -> bytes:
    counts = DocumentCounts.of([raw_features(TaskText("fix the crash", "")), raw_features(TaskText("a typo", ""))])
    return EffortHead().first_model(counts.to_vector())


def test_every_head_that_the_schedule_knows_can_be_trained() -> None:
    assert tuple(heads.HEADS) == registry.HEADS


def test_the_first_model_is_made_of_the_sums(untrained: bytes) -> None:
    model = decode_model(untrained)
    assert (model.version, model.statistics.documents, max(model.weights)) == (0, 2.0, 0.0)


def test_sums_that_counting_does_not_make_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        EffortHead().first_model([math.inf] * COUNTS_LENGTH)


def test_a_version_beside_a_closed_one_is_near_it_and_the_same_for_every_leader(untrained: bytes) -> None:
    head, spec = EffortHead(), JobSpec()
    beside = head.moved_on(untrained, 3, spec)
    assert beside == head.moved_on(untrained, 3, spec)
    assert beside != head.moved_on(untrained, 4, spec), "a version that is closed twice gets another one each time"
    assert 0 < max(map(abs, decode_model(beside).weights)) <= KICK


def test_the_momentum_goes_on_past_a_closed_version(untrained: bytes) -> None:
    head = EffortHead()
    once = head.moved_on(untrained, 3, JobSpec())
    twice = decode_model(head.moved_on(once, 4, JobSpec(server_momentum=0.5)))
    largest = max(
        abs(after - 1.5 * before) for after, before in zip(twice.weights, decode_model(once).weights, strict=True)
    )
    assert largest <= KICK * 1.001


def test_the_first_finish_model_is_standardised_by_the_sums() -> None:
    means, squares = [2.0] * len(FEATURES), [13.0] * len(FEATURES)
    sums = [*(4.0 * one for one in (*means, *squares)), 4.0]
    assert len(sums) == FinishHead.counts_length
    model = decode_finish(FinishHead().first_model(sums))
    assert (model.version, set(model.means), set(model.deviations)) == (0, {2.0}, {3.0})


@pytest.mark.parametrize("sums", [[1.0] * (FinishHead.counts_length - 2), [0.0] * FinishHead.counts_length])
def test_sums_that_standardising_does_not_make_are_refused(sums: list[float]) -> None:
    with pytest.raises(InvalidInputError):
        FinishHead().first_model(sums)


def test_a_finish_version_beside_a_closed_one_is_near_it_and_the_same_for_every_leader() -> None:
    head, spec = FinishHead(), JobSpec()
    base = head.first_model([*[1.0] * len(FEATURES), *[2.0] * len(FEATURES), 1.0])
    beside = head.moved_on(base, 3, spec)
    assert beside == head.moved_on(base, 3, spec)
    assert beside != head.moved_on(base, 4, spec)
    model = decode_finish(beside)
    moved = [abs(weight) for row in model.weights for weight in row]
    assert model.version == 1
    assert 0 < min(moved) <= max(moved) <= KICK
    assert model.rates == decode_finish(base).rates


def test_the_pull_of_a_finish_job_is_what_its_specification_says() -> None:
    assert FinishHead().step(JobSpec(l2=0.5)).ridge == 0.5
    assert FinishHead().step(JobSpec()).ridge == 0.3


def test_no_two_seeds_are_alike() -> None:
    rng = random.Random(1)
    assert seed("effort", rng) != seed("effort", rng)
