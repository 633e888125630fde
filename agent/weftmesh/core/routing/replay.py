"""The decision log again, under this or another policy: what would the tables have been?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from weftmesh.core.errors import NotFoundError
from weftmesh.core.records import record
from weftmesh.core.routing.deciding import Policy, decide, joined, kept
from weftmesh.core.routing.model import Decision, Inputs, Row
from weftmesh.core.routing.weights import normalised


@record(frozen=True, slots=True)
class Replayed:
    """One decision, taken again.

    Attributes:
        logged: as it was.
        after: what the policy computed from the same readings and its own table before.
    """

    logged: Decision
    after: tuple[Row, ...]

    @property
    def moved(self) -> float:
        """How much weight goes elsewhere than it did, 0 to 1: half the sum of the differences."""
        was = {row.endpoint: row.weight for row in self.logged.after}
        return sum(abs(row.weight - was.get(row.endpoint, 0.0)) for row in self.after) / 2.0


def equal(inputs: Inputs, before: tuple[Row, ...]) -> tuple[Row, ...]:
    """The same weight for every endpoint."""
    return _plain(inputs, before, [1.0] * len(inputs.endpoints))


def by_capacity(inputs: Inputs, before: tuple[Row, ...]) -> tuple[Row, ...]:
    """Weights in proportion to capacity."""
    return _plain(inputs, before, [one.capacity for one in inputs.endpoints])


def by_latency(inputs: Inputs, before: tuple[Row, ...]) -> tuple[Row, ...]:
    """Weights in inverse proportion to working time and round trip; an endpoint that was never read gets the mean."""
    seen = {one.endpoint: 1.0 / max(1e-4, one.service_s + one.rtt_s) for one in inputs.readings}
    mean = sum(seen.values()) / len(seen) if seen else 1.0
    return _plain(inputs, before, [seen.get(one.name, mean) for one in inputs.endpoints])


POLICIES: Final[Mapping[str, Policy]] = {
    "feedback": decide,
    "equal": equal,
    "capacity": by_capacity,
    "latency": by_latency,
}


def policy_named(name: str) -> Policy:
    """The policy of a name.

    Raises:
        NotFoundError: there is none.
    """
    if name not in POLICIES:
        raise NotFoundError(f"there is no routing policy {name[:80]!r}; the policies are {', '.join(sorted(POLICIES))}")
    return POLICIES[name]


class Replaying:
    """Takes the decisions of one route again, one by one.

    The first begins with the table that the log has; each further one with what the policy's own decisions before it
    left in force. What took no effect then takes none now. Behind a gap in the log it begins anew.

    Args:
        policy: decides.

    Attributes:
        gaps: how often decisions were missing.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._in_force: tuple[Row, ...] = ()
        self._number: int | None = None
        self.gaps = 0

    def take(self, logged: Decision) -> Replayed:
        """Take the next decision again."""
        follows = self._number is not None and logged.number == self._number + 1
        self.gaps += self._number is not None and not follows
        before = self._in_force if follows else logged.before
        after = self._policy(logged.inputs, before)
        self._in_force = after if logged.inputs.takes_effect else kept(logged.inputs, before, after)
        self._number = logged.number
        return Replayed(logged, after)


def replay(log: Iterable[Decision], policy: Policy) -> list[Replayed]:
    """Take the decisions of one route again, in order; see `Replaying`."""
    replaying = Replaying(policy)
    return [replaying.take(one) for one in log]


def _plain(inputs: Inputs, before: tuple[Row, ...], values: list[float]) -> tuple[Row, ...]:
    rows, shares = joined(inputs, before), normalised(values)
    return tuple(replace(row, weight=one, target=one) for row, one in zip(rows, shares, strict=True))
