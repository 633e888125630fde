"""What the child processes run here."""

from __future__ import annotations

from typing import Final

from weftmesh.runtime.lanes.registry import HEAVY, TICKS

MODULE: Final = "benchmarks.lanes.ticks"


@TICKS.register("nothing")
async def nothing(payload: bytes) -> bytes:
    """Return what it is given: what is measured is the start."""
    return payload


@HEAVY.register("nothing")
def nothing_heavy(payload: bytes) -> bytes:
    """Return what it is given."""
    return payload
