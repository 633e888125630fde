"""What goes between the critical lane and its parent comes out as it went in."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.lanes.critical import messages
from weftmesh.runtime.lanes.critical.messages import Ending, Tick, TickResult
from weftmesh.runtime.lanes.framing import FRAME_BYTES_MAX, frame, read_frame

TEXTS = st.text(max_size=30)
NUMBERS = st.floats(allow_nan=False)
TICKS = st.builds(Tick, TEXTS, TEXTS, NUMBERS, NUMBERS, st.binary(max_size=50))
RESULTS = st.builds(
    TickResult,
    TEXTS,
    st.integers(0, 2**64 - 1),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.sampled_from(Ending),
    st.binary(max_size=50),
)


def received(data: bytes) -> tuple[int, bytes]:
    async def read() -> tuple[int, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_frame(reader)

    return asyncio.run(read())


@given(st.lists(TICKS, max_size=5))
def test_ticks(wanted: list[Tick]) -> None:
    kind, body = received(messages.ticks(wanted))
    assert (kind, list(messages.read_ticks(body))) == (messages.Kind.TICKS, wanted)


@given(RESULTS)
def test_results(one: TickResult) -> None:
    kind, body = received(messages.result(one))
    assert (kind, messages.read_result(body)) == (messages.Kind.RESULT, one)


@given(st.booleans(), TEXTS)
def test_hello(real_time: bool, why: str) -> None:
    assert messages.read_hello(received(messages.hello(real_time, why))[1]) == (real_time, why)


def test_a_frame_that_is_too_long_is_neither_sent_nor_waited_for() -> None:
    with pytest.raises(InvalidInputError):
        frame(1, bytes(FRAME_BYTES_MAX + 1))
    with pytest.raises(DataCorruptionError):
        received(b"\xff\xff\xff\xff\x01")
