"""A forecast, the model's bytes, and the server's step."""

from __future__ import annotations

import math
import random
import struct
import time
from array import array
from dataclasses import replace
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.averaging import server_step
from weftmesh.core.forecast.effort import Basis, EffortModel, fit_team, forecast_effort
from weftmesh.core.forecast.features import DIMENSIONS, DocumentCounts, hashed, raw_features
from weftmesh.core.forecast.model_bytes import MODEL_BYTES, decode_model, encode_model
from weftmesh.core.forecast.ordinal import LABELS_NEWEST
from weftmesh.core.forecast.text import TaskText

TEXTS = [TaskText("rewrite scheduler"), TaskText("typo"), TaskText("rewrite parser"), TaskText("typo in help")]


def untrained() -> EffortModel:
    return EffortModel.untrained(DocumentCounts.of(map(raw_features, TEXTS)).statistics())


def knowing(**effects: float) -> EffortModel:
    """A model whose words have these effects."""
    weights = array("f", bytes(4 * DIMENSIONS))
    for word, effect in effects.items():
        bucket, sign = hashed(word)
        weights[bucket] = sign * effect
    return replace(untrained(), version=3, weights=weights)


def random_model(seed: int = 1) -> EffortModel:
    source = random.Random(seed)
    weights, velocity = (array("f", [source.gauss(0, 1) for _ in range(DIMENSIONS)]) for _ in range(2))
    return replace(untrained(), version=12, weights=weights, velocity=velocity)


BLOB = encode_model(random_model())


def test_words_move_a_forecast_within_the_teams_own_levels() -> None:
    model = knowing(rewrite=8.0, typo=-8.0)
    team = fit_team(model, list(map(raw_features, TEXTS * 10)), [13.0, 1.0, 8.0, 1.0] * 10)
    large, small = (forecast_effort(model, team, TaskText(title)) for title in ("rewrite everything", "typo"))
    assert (large.basis, large.labels, large.median, large.model_version) == (Basis.MODEL, 40, 4.5, 3)
    assert small.p50 == 1.0
    assert 8.0 <= large.p50 <= large.p85 <= large.p95 == 13.0


def test_with_few_labels_the_forecast_is_the_median() -> None:
    model = knowing(rewrite=8.0)
    team = fit_team(model, list(map(raw_features, TEXTS[:3])), [1.0, 2.0, 8.0])
    forecast = forecast_effort(model, team, TaskText("rewrite"))
    assert (forecast.p50, forecast.p85, forecast.p95) == (2.0, 8.0, 8.0)
    assert (forecast.basis, forecast.median, forecast.labels) == (Basis.MEDIAN, 2.0, 3)


def test_a_model_survives_its_bytes() -> None:
    model = random_model()
    blob = encode_model(model)
    assert len(blob) == MODEL_BYTES
    assert decode_model(blob) == model


@settings(max_examples=40, deadline=None)
@given(st.integers(0, MODEL_BYTES - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    blob = bytearray(BLOB)
    blob[place] ^= change
    with pytest.raises(InvalidInputError):
        decode_model(bytes(blob))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200) | st.integers(0, MODEL_BYTES - 1).map(lambda length: BLOB[:length]))
def test_bytes_that_are_no_model_are_refused(blob: bytes) -> None:
    with pytest.raises(InvalidInputError):
        decode_model(blob)


def sealed(blob: bytes) -> bytes:
    return blob[:-4] + struct.pack("<I", crc32(blob[:-4]))


@pytest.mark.parametrize(("place", "number"), [(32, math.nan), (32, math.inf), (4 * DIMENSIONS, 1e30), (32, -1e9)])
def test_weights_that_no_training_makes_are_refused(place: int, number: float) -> None:
    blob = BLOB[:place] + struct.pack("<f", number) + BLOB[place + 4 :]
    with pytest.raises(InvalidInputError) as caught:
        decode_model(sealed(blob))
    assert caught.value.reason == "MODEL_INVALID"


def test_statistics_that_no_training_makes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="feature statistics"):
        decode_model(sealed(BLOB[:24] + struct.pack("<d", math.nan) + BLOB[32:]))


def test_another_format_says_so() -> None:
    with pytest.raises(InvalidInputError, match="upgrade this node") as caught:
        decode_model(BLOB[:8] + b"\x02\x00" + BLOB[10:])
    assert caught.value.reason == "MODEL_FORMAT_UNSUPPORTED"


def test_the_server_keeps_moving_where_it_went() -> None:
    step = array("d", [1.0] + [0.0] * (DIMENSIONS - 1))
    rest = array("d", bytes(8 * DIMENSIONS))
    first = server_step(untrained(), step, momentum=0.5)
    second = server_step(first, rest, momentum=0.5)
    assert (first.version, first.weights[0], first.velocity[0]) == (1, 1.0, 1.0)
    assert (second.version, second.weights[0], second.velocity[0]) == (2, 1.5, 0.5)


def test_a_step_from_a_stored_model_is_the_same_step() -> None:
    model = random_model()
    update = array("d", [0.01] * DIMENSIONS)
    assert server_step(decode_model(encode_model(model)), update) == server_step(model, update)


@pytest.mark.parametrize("update", [[0.0], [math.nan] * DIMENSIONS, [0.0] * (DIMENSIONS - 1) + [math.inf]])
def test_the_server_refuses_an_update_that_no_training_makes(update: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="mean update"):
        server_step(untrained(), update)


def test_a_forecast_takes_less_than_five_milliseconds() -> None:
    model, source = random_model(), random.Random(5)
    vocabulary = [f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(400)]
    texts = [TaskText("rewrite scheduler", " ".join(source.choices(vocabulary, k=250))) for _ in range(LABELS_NEWEST)]
    team = fit_team(model, list(map(raw_features, texts)), [1.0, 2.0, 3.0, 5.0, 8.0] * (LABELS_NEWEST // 5))
    started = time.process_time()
    for text in texts[:50]:
        forecast_effort(model, team, text)
    assert (time.process_time() - started) / 50 < 0.005
