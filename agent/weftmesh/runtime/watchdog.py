"""Beats for systemd's watchdog (sd_watchdog_enabled(3)): a daemon that gets nowhere is killed and started again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from weftmesh.runtime.notify import notify

BEATS: Final = 3
"""Within one limit, so that one that is late does no harm."""
MICROSECONDS: Final = 1_000_000

GetsOn = Callable[[], Awaitable[bool]]
"""Whether the daemon does what it is there for."""


def watchdog_limit_s(environment: Mapping[str, str]) -> float | None:
    """How long the supervisor waits for a beat of this very process; None where it waits for none."""
    limit_us, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not limit_us.isdecimal() or int(limit_us) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(limit_us) / MICROSECONDS


async def turning() -> bool:
    """For a daemon that gets on while its event loop turns."""
    return True


async def keep_beating(limit_s: float | None, gets_on: GetsOn = turning) -> None:
    """Beat until cancelled, each time that `gets_on` says yes; at once return where nobody waits for a beat.

    Args:
        limit_s: see `watchdog_limit_s`.
        gets_on: is given a limit's time at most; no answer is no beat.
    """
    if limit_s is None:
        return
    while True:
        try:
            async with asyncio.timeout(limit_s):
                alive = await gets_on()
        except TimeoutError:
            alive = False
        if alive:
            notify("WATCHDOG=1")
        await asyncio.sleep(limit_s / BEATS)
