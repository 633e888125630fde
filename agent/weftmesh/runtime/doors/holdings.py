"""What callers hold for as long as their calls last, and what one whose calls are too many or too frequent is told."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Final

from weftmesh.core.errors import OverloadedError
from weftmesh.core.rate import Rate
from weftmesh.core.records import record
from weftmesh.runtime.rpc_gate import Ticket
from weftmesh.runtime.rpc_status import RETRY_KEY

ARRIVING_MAX: Final = 16
"""Requests of one caller that arrive at the same time: gRPC makes room for a whole message of each, and of no other."""


@record(frozen=True, slots=True)
class Held:
    """A kind of thing that calls hold.

    Attributes:
        reason: of a refusal.
        noun: its name, for people.
    """

    reason: str
    noun: str


CALL: Final = Held("TOO_MANY_CALLS", "calls")
WATCHER: Final = Held("TOO_MANY_WATCHERS", "watchers")
WRITE_STREAM: Final = Held("TOO_MANY_WRITE_STREAMS", "write streams")


class Holdings:
    """Counts what each caller holds.

    Args:
        most: of each kind that one caller may hold; may be replaced at any time.
    """

    def __init__(self, most: Mapping[Held, int]) -> None:
        self.most = most
        self._held: Counter[tuple[Hashable, Held]] = Counter()
        self._arriving: dict[Hashable, asyncio.Semaphore] = {}

    def take(self, caller: Hashable, kinds: tuple[Held, ...]) -> Ticket:
        """Let a call hold one of each of `kinds` until its ticket is given back; CALL is among them.

        Raises:
            OverloadedError: the caller holds too many of one kind.
        """
        held = self._held
        for kind in kinds:
            if held[caller, kind] >= self.most[kind]:
                raise OverloadedError(
                    f"{caller} has {self.most[kind]} {kind.noun} open at this node already; end some, or wait",
                    reason=kind.reason,
                )
        for kind in kinds:
            held[caller, kind] += 1
        arriving = self._arriving.get(caller)
        if arriving is None:
            arriving = self._arriving[caller] = asyncio.Semaphore(ARRIVING_MAX)

        def leave() -> None:
            for kind in kinds:
                held[caller, kind] -= 1
                if not held[caller, kind]:
                    del held[caller, kind]
            if (caller, CALL) not in held:
                self._arriving.pop(caller, None)

        return Ticket(arriving, leave)


def uncounted() -> Ticket:
    """For a call that nobody counts."""
    return Ticket(asyncio.Semaphore(ARRIVING_MAX), _nothing)


def too_often(caller: object, noun: str, rate: Rate, wait_s: float, section: str) -> OverloadedError:
    """What a caller beyond a rate is told.

    Args:
        caller: whose call it is.
        noun: what there is too much of.
        rate: that is exceeded.
        wait_s: until the bucket holds enough again.
        section: of the configuration, where the rate is.
    """
    wait_ms = math.ceil(wait_s * 1000)
    return OverloadedError(
        f"{caller} makes more than {rate.per_s:g} {noun} a second at this node; nothing was done; "
        f"try again in {wait_ms} ms, or raise the rate in [{section}]",
        reason="RATE_LIMITED",
        metadata={RETRY_KEY: str(wait_ms)},
    )


def _nothing() -> None:
    """What a call that is not counted leaves behind."""
