"""A finish model on the wire and on disk."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import INTERVALS, PHASES
from weftmesh.core.forecast.finish_bytes import MODEL_BYTES, decode_model, encode_model
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.forecast.finish_model import FinishModel

N = len(FEATURES)
MODEL = FinishModel(
    version=7,
    means=tuple(range(N)),
    deviations=(0.5,) * N,
    weights=tuple(tuple(phase + one / 100 for one in range(N)) for phase in range(PHASES)),
    rates=tuple(0.1 + one for one in range(INTERVALS)),
)
BLOB = encode_model(MODEL)


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", crc32(body))


def test_what_is_written_is_read() -> None:
    assert decode_model(BLOB) == MODEL
    assert len(BLOB) == MODEL_BYTES


def test_the_first_bytes_are_as_documented() -> None:
    assert BLOB[:24] == b"WMFINISH" + struct.pack("<HHHHQ", 1, N, PHASES, INTERVALS, 7)


@given(st.integers(0, len(BLOB) - 1), st.integers(1, 255))
def test_any_damaged_byte_is_found(place: int, flip: int) -> None:
    damaged = bytearray(BLOB)
    damaged[place] ^= flip

    with pytest.raises(InvalidInputError) as refused:
        decode_model(bytes(damaged))
    assert refused.value.reason in {"MODEL_INVALID", "MODEL_FORMAT_UNSUPPORTED"}


@given(st.integers(0, len(BLOB) - 1))
def test_a_part_is_refused(length: int) -> None:
    with pytest.raises(InvalidInputError, match="finish model"):
        decode_model(BLOB[:length])


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    for blob in (garbage, b"WMFINISH" + garbage, BLOB + garbage + b"x"):
        with pytest.raises(InvalidInputError, match="finish model"):
            decode_model(blob)


def test_another_format_is_told_apart_from_damage() -> None:
    newer = sealed(BLOB[:8] + struct.pack("<H", 2) + BLOB[10:-4])

    with pytest.raises(InvalidInputError, match="upgrade this node") as refused:
        decode_model(newer)
    assert refused.value.reason == "MODEL_FORMAT_UNSUPPORTED"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_rate_that_no_training_makes_is_refused_though_its_checksum_holds(number: float) -> None:
    poisoned = sealed(BLOB[:-12] + struct.pack("<d", number))

    with pytest.raises(InvalidInputError) as refused:
        decode_model(poisoned)
    assert refused.value.reason == "MODEL_INVALID"


def test_a_model_of_other_features_is_not_written() -> None:
    other = FinishModel(1, (0.0,), (1.0,), ((0.0,),) * PHASES, (1.0,) * INTERVALS)

    with pytest.raises(InvalidInputError, match="features"):
        encode_model(other)
