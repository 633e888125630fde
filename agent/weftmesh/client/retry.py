"""Trying again: pauses that double, until a deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from weftmesh.client.errors import is_retryable
from weftmesh.client.limits import RETRY_PAUSE_FIRST_S, RETRY_PAUSE_MAX_S, RETRY_SPREAD, RETRY_TIME_MIN_S
from weftmesh.core.errors import OverloadedError, WeftmeshError
from weftmesh.runtime.rpc_status import retry_after_s

T = TypeVar("T")

_JITTER = random.SystemRandom()


class Backoff:
    """The pauses between the attempts of one thing."""

    def __init__(self) -> None:
        self._next_s = RETRY_PAUSE_FIRST_S

    def next_pause_s(self) -> float:
        """How long to wait before the next attempt."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, RETRY_PAUSE_MAX_S)
        return pause_s * (1 - _JITTER.random() / 2)

    def reset(self) -> None:
        """Begin anew: an attempt succeeded."""
        self._next_s = RETRY_PAUSE_FIRST_S


def pause_after(error: WeftmeshError, backoff: Backoff) -> float:
    """Seconds to wait after `error`: the next pause, or what an overloaded node asks for if that is longer.

    What a node without a quorum asks for is a guess, and the pauses find its return sooner.
    """
    pause_s = backoff.next_pause_s()
    if not isinstance(error, OverloadedError):
        return pause_s
    return max(pause_s, retry_after_s(error) * (1 + RETRY_SPREAD * _JITTER.random()))


async def until_deadline(attempt: Callable[[float], Awaitable[T]], timeout_s: float) -> T:
    """The first success of `attempt`, which gets the seconds that are left.

    Raises:
        WeftmeshError: the first error that trying again cannot help, or the last one when the time is up.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    backoff = Backoff()
    while True:
        try:
            return await attempt(max(deadline - loop.time(), 0.001))
        except WeftmeshError as error:
            pause_s = pause_after(error, backoff)
            if not is_retryable(error) or loop.time() + pause_s + RETRY_TIME_MIN_S >= deadline:
                raise
            await asyncio.sleep(pause_s)
