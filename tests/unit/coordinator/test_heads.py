"""A training's models: how they begin, and how one gets past a version that is closed."""

from __future__ import annotations

import random

import pytest

from weftmesh.coordinator import heads, registry
from weftmesh.coordinator.heads import KICK, EffortHead, seed
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.features import COUNTS_LENGTH, DocumentCounts, raw_features
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
        EffortHead().first_model([-1.0] * COUNTS_LENGTH)


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


def test_no_two_seeds_are_alike() -> None:
    rng = random.Random(1)
    assert seed("effort", rng) != seed("effort", rng)
