"""Responses under way to one client: which were taken, which were refused, and how long that took."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from weftmesh.core.latency import LatencyWindow
from weftmesh.core.records import record
from weftmesh.router.xds.kinds import Kind

PENDING_MAX: Final = 64
"""So many unanswered responses are known; what a client says of an older one is not counted."""


class Verdict(Enum):
    """What a client said of a response."""

    NONE = auto()
    """Nothing: the request answers none."""
    ACK = auto()
    NACK = auto()


@record(frozen=True, slots=True)
class Refusal:
    """A response that a client would not take; it goes on with what it had."""

    kind: Kind
    nonce: str
    error: str


@dataclass(slots=True)
class Receipts:
    """Counts of one stream. Times are seconds in one clock that does not run backwards."""

    told: int = 0
    acks: int = 0
    nacks: int = 0
    refusal: Refusal | None = None
    """The last one."""
    ack_times: LatencyWindow = field(default_factory=lambda: LatencyWindow(slots=4))
    """From telling to acknowledgement, of the last five minutes."""
    acked_s: float = 0.0
    """When the last acknowledgement came."""
    _pending: dict[str, float] = field(default_factory=dict)

    def telling(self, now_s: float) -> str:
        """A response is about to be sent.

        Returns:
            Its nonce, which no other response of this stream has.
        """
        self.told += 1
        nonce = str(self.told)
        self._pending[nonce] = now_s
        if len(self._pending) > PENDING_MAX:
            del self._pending[next(iter(self._pending))]
        return nonce

    def answered(self, kind: Kind, nonce: str, error: str | None, now_s: float) -> Verdict:
        """A request came that names a response, or none.

        Args:
            kind: of the resources that it is about.
            nonce: of the response; empty for none.
            error: why it was refused; None where it was taken.
            now_s: when.
        """
        if not nonce:
            return Verdict.NONE
        told_s = self._pending.pop(nonce, None)
        if error is not None:
            self.nacks += 1
            self.refusal = Refusal(kind, nonce, error)
            return Verdict.NACK
        if told_s is not None:
            self.acks += 1
            self.acked_s = now_s
            self.ack_times.add(int(now_s * 1e3), int((now_s - told_s) * 1e6))
        return Verdict.ACK
