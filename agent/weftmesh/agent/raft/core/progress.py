"""What a leader knows of one peer's log, and what it has on the way to it."""

from __future__ import annotations

from dataclasses import dataclass

from weftmesh.agent.raft.ports import SnapshotInfo

FIRST_INDEX = 1
"""Every log begins with the convention that entry 1 of term 0 exists."""


@dataclass(slots=True)
class Transfer:
    """A snapshot on its way."""

    info: SnapshotInfo
    under_way: bool = False
    """A call is sending it; otherwise it was not taken yet, or it was and is being installed."""
    offer_at_s: float = 0.0
    """When it may be offered again."""


@dataclass(slots=True)
class Progress:
    """One peer. At most one message with entries is on its way; `next_index` moves only when it is answered."""

    next_index: int
    match_index: int = 0
    """Known to be equal and durable there."""
    flight_last: int = 0
    """The last entry of the message on its way; 0 when there is none."""
    resend_at_s: float = 0.0
    sent_at_s: float = 0.0
    """When something that is answered was sent last."""
    heard_round: int = 0
    """The latest round that it answered."""
    sent_commit: int = 0
    """The highest commit index this peer was told."""
    live: bool = False
    """It has caught up since it connected, so a commit it is told of happened just now."""
    transfer: Transfer | None = None

    def acknowledge(self, match_index: int) -> None:
        """Its log is ours up to here; never moves anything back."""
        self.match_index = max(self.match_index, match_index)
        self.next_index = max(self.next_index, self.match_index + 1)
        if self.match_index >= self.flight_last:
            self.flight_last = 0
        if self.transfer is not None and self.match_index >= self.transfer.info.header.last_index:
            self.transfer = None

    def back_off(self, prev_index: int, hint_index: int) -> bool:
        """Its log differs at `prev_index`; returns whether there is an earlier point to try."""
        if prev_index != self.next_index - 1 or prev_index <= self.match_index:
            return False
        self.flight_last = 0
        self.next_index = max(self.match_index, min(hint_index, prev_index - 1), FIRST_INDEX) + 1
        return True

    def disconnected(self) -> None:
        """Whatever was on its way is lost, or may be."""
        self.flight_last = 0
        self.sent_at_s = self.resend_at_s = 0.0
        self.sent_commit = 0
        self.live = False
        if self.transfer is not None and not self.transfer.under_way:
            self.transfer = None

    def due_s(self, heartbeat_s: float) -> float:
        """When there is something to send again, or a heartbeat."""
        resend_at_s = self.resend_at_s if self.flight_last else float("inf")
        if self.transfer is not None and not self.transfer.under_way:
            resend_at_s = min(resend_at_s, self.transfer.offer_at_s)
        return min(self.sent_at_s + heartbeat_s, resend_at_s)

    @property
    def end_of_flight(self) -> int:
        """The last entry the peer has if nothing got lost."""
        return self.flight_last or self.next_index - 1
