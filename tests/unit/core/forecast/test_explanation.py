"""The words that moved a forecast."""

from __future__ import annotations

import random
from array import array
from dataclasses import replace

import pytest

from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.explanation import explain_effort
from weftmesh.core.forecast.features import BUCKETS, DIMENSIONS, DocumentCounts, hashed, raw_features
from weftmesh.core.forecast.text import SHAPE_NAMES, TaskText

TEXT = TaskText("Rewrite scheduler", "typo typo " * 10 + "among more words")


def model(weights: dict[int, float]) -> EffortModel:
    dense = array("f", [weights.get(index, 0.0) for index in range(DIMENSIONS)])
    counts = DocumentCounts.of(map(raw_features, [TEXT, TaskText("other")]))
    return replace(EffortModel.untrained(counts.statistics()), weights=dense)


def word_weight(word: str, effect: float) -> tuple[int, float]:
    bucket, sign = hashed(word)
    return bucket, sign * effect


def test_it_names_the_words_of_this_text_the_strongest_first() -> None:
    trained = model(dict([word_weight("scheduler", 5.0), word_weight("rewrite scheduler", -1.0), word_weight("no", 9)]))
    found = explain_effort(trained, TEXT)
    assert [one.what for one in found] == [("scheduler",), ("rewrite scheduler",)]
    assert found[0].effect > 0 > found[1].effect


def test_all_contributions_add_up_to_the_score() -> None:
    source = random.Random(3)
    trained = model({index: source.gauss(0, 1) for index in range(DIMENSIONS)})
    assert sum(one.effect for one in explain_effort(trained, TEXT, DIMENSIONS)) == pytest.approx(trained.score(TEXT))


def test_the_shape_of_a_text_is_named_for_people() -> None:
    place = SHAPE_NAMES.index("length of the description")
    (found,) = explain_effort(model({BUCKETS + place: 1.0}), TEXT)
    assert found.what == ("length of the description",)


def test_words_that_share_a_bucket_stand_together() -> None:
    first = "a" * 5
    bucket, sign = hashed(first)
    source = random.Random(1)
    candidates = iter(lambda: "".join(source.choices("bcdefgh", k=8)), "")
    other = next(word for word in candidates if hashed(word) == (bucket, sign))
    found = explain_effort(model({bucket: 1.0}), TaskText("", f"{first} {other}"))
    assert found[0].what == tuple(sorted((first, other)))


def test_an_untrained_model_has_nothing_to_say() -> None:
    assert explain_effort(model({}), TEXT) == []
