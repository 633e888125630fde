"""Nothing of learning leaves this node before the egress ledger has it."""

from __future__ import annotations

import hashlib
from typing import Protocol

from weftmesh.core.privacy.egress import Egress, EgressClass


class Ledger(Protocol):
    """Where what leaves is recorded first; in production `agent.privacy.ledger.EgressLedger`."""

    async def record(self, egress: Egress, /) -> object:
        """Return once the record is on disk.

        Raises:
            WeftmeshError: it is not, so the payload must not leave.
        """


class LearningEgress:
    """Records payloads of learning."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def record(self, peer: str, payload: bytes, why: str) -> None:
        """Record a payload for the node `peer`; it may leave when this returns.

        Raises:
            WeftmeshError: it could not be recorded and must not leave.
        """
        await self.record_known(peer, len(payload), hashlib.sha256(payload).digest(), why)

    async def record_known(self, peer: str, size_bytes: int, sha256: bytes, why: str) -> None:
        """As `record`, of a payload whose hash is known."""
        await self._ledger.record(Egress(EgressClass.LEARNING, peer, size_bytes, sha256, why))
