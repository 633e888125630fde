"""Anchors in the node's log: once a day the head of the egress ledger is noted where the ledger cannot change it."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from weftmesh.agent.privacy.ledger import EgressLedger

NOTE_INTERVAL_S: Final = 24 * 3600.0

log = structlog.get_logger("weftmesh.privacy")


async def note_anchors(ledger: EgressLedger, interval_s: float = NOTE_INTERVAL_S) -> None:
    """Log the head now and once a day, for as long as the node runs; `privacy verify --against` takes it."""
    while True:
        log.info("egress ledger", anchor=str(ledger.head))
        await asyncio.sleep(interval_s)
