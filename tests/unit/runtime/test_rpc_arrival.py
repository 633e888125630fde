"""Requests that are late, and those that are not: one timer for all of them."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest

from weftmesh.runtime.rpc_arrival import Arrivals

LIMIT_S = 0.3


class Call:
    """A call whose request comes when it is told to."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    async def read(self) -> str:
        await self.arrived.wait()
        return "request"


def reading(arrivals: Arrivals, call: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(arrivals.read(call, nullcontext()))


async def test_every_late_request_is_ended_and_none_before_its_time() -> None:
    arrivals = Arrivals(LIMIT_S)
    early = [reading(arrivals, Call()) for _ in range(3)]
    await asyncio.sleep(LIMIT_S / 2)
    call = Call()
    later = reading(arrivals, call)
    assert all(isinstance(one, TimeoutError) for one in await asyncio.gather(*early, return_exceptions=True))
    assert not later.done()
    call.arrived.set()
    assert await later == "request"
    last = reading(arrivals, Call())
    with pytest.raises(TimeoutError):
        await last


async def test_to_wait_for_a_place_counts() -> None:
    arrivals, places = Arrivals(LIMIT_S), asyncio.Semaphore(0)
    with pytest.raises(TimeoutError):
        await arrivals.read(Call(), places)  # type: ignore[arg-type]  # what is asked of a context here


async def test_a_caller_that_goes_away_is_no_late_request() -> None:
    task = reading(Arrivals(LIMIT_S), Call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
