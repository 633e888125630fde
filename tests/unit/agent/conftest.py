"""What holds for tests of the agent: a machine that is late costs none of the time that a test gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
from pysyncobj import syncobj
from tests.fakes.steady_loop import SteadyLoop, loop_time_s


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"steady": SteadyLoop}


@pytest.fixture(autouse=True)
def _one_clock() -> Iterator[None]:
    """The core of Raft goes by the clock of the loop that drives it."""
    before = syncobj.monotonicTime
    syncobj.monotonicTime = loop_time_s(before)
    yield
    syncobj.monotonicTime = before
