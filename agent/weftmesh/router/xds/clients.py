"""The clients that follow the table now, and how quickly they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from weftmesh.core.records import record
from weftmesh.router.xds.receipts import Receipts


@record(frozen=True, slots=True)
class ClientState:
    """One stream of one client.

    Attributes:
        node: the id in its bootstrap; whatever it says.
        subject: who it is: `node/NAME` of a certificate, or `local`.
        agent: the program, as it calls itself.
        incremental: whether it uses the incremental form.
        told: responses it was sent.
        acks: how many of them it took.
        nacks: how many it refused.
        refusal: why it refused the last one that it did; empty when it never did.
        acked_s: when it last took one, in the loop's clock.
        ack_p50_us: median time from telling to acknowledgement; None when nothing was acknowledged of late.
        ack_p99_us: and the 99th percentile.
    """

    node: str
    subject: str
    agent: str
    incremental: bool
    told: int
    acks: int
    nacks: int
    refusal: str
    acked_s: float
    ack_p50_us: float | None
    ack_p99_us: float | None


@dataclass(slots=True)
class Client:
    """What is known of one open stream."""

    subject: str
    incremental: bool
    receipts: Receipts
    node: str = ""
    agent: str = ""

    def state(self, now_s: float) -> ClientState:
        """What to show of it."""
        receipts = self.receipts
        refusal = receipts.refusal
        now_ms = int(now_s * 1e3)
        return ClientState(
            self.node,
            self.subject,
            self.agent,
            self.incremental,
            receipts.told,
            receipts.acks,
            receipts.nacks,
            "" if refusal is None else f"{refusal.kind.name.lower()}: {refusal.error}",
            receipts.acked_s,
            receipts.ack_times.quantile(now_ms, 0.5),
            receipts.ack_times.quantile(now_ms, 0.99),
        )


class Clients:
    """All open streams."""

    def __init__(self) -> None:
        self._open: list[Client] = []

    @contextmanager
    def following(self, client: Client) -> Iterator[Client]:
        """Count a client in for as long as its stream is open."""
        self._open.append(client)
        try:
            yield client
        finally:
            self._open = [one for one in self._open if one is not client]

    def states(self, now_s: float) -> tuple[ClientState, ...]:
        """One for each open stream, the oldest first."""
        return tuple(one.state(now_s) for one in self._open)
