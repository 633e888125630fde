"""Services that burn their error budget: who runs one class above its own, and when that ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.events import ServiceLowered, ServiceRaised
from weftmesh.core.schedule.model import Settings


def above(service_class: ServiceClass) -> ServiceClass:
    """The class one above; critical is the highest."""
    return ServiceClass(max(service_class - 1, ServiceClass.CRITICAL))


@dataclass(slots=True)
class Raise:
    """One service that is up."""

    rate: float
    heard_s: float
    below_since_s: float = math.inf
    """Since when the rate is low enough to come down."""

    def ends_s(self, settings: Settings) -> float:
        """When it comes down if nothing else is heard."""
        return min(self.below_since_s + settings.hold_s, self.heard_s + settings.silence_s)


class Raises:
    """All services that are up."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._raised: dict[str, Raise] = {}

    def __contains__(self, service: str) -> bool:
        return service in self._raised

    def __len__(self) -> int:
        return len(self._raised)

    def rates(self) -> dict[str, float]:
        """The latest rate of each."""
        return {name: one.rate for name, one in sorted(self._raised.items())}

    def full(self) -> bool:
        """Whether no further service can go up."""
        return len(self._raised) >= self._settings.raised_max

    def next_s(self) -> float | None:
        """When the next service comes down if nothing else is heard."""
        return min((one.ends_s(self._settings) for one in self._raised.values()), default=None)

    def burned(self, service: str, rate: float, now_s: float) -> ServiceRaised | None:
        """Take a rate in; return what it changes at once."""
        present = self._raised.get(service)
        if present is not None:
            present.rate, present.heard_s = rate, now_s
            low = rate < self._settings.lower_below
            present.below_since_s = min(present.below_since_s, now_s) if low else math.inf
            return None
        if rate < self._settings.raise_at or self.full():
            return None
        self._raised[service] = Raise(rate, now_s)
        return ServiceRaised(
            service,
            rate,
            f"{service} spends its error budget {rate:.3g} times as fast as it may; "
            f"from {self._settings.raise_at:g} times on its jobs run one class above their own",
        )

    def ended(self, now_s: float) -> list[ServiceLowered]:
        """Take out whoever comes down now."""
        settings = self._settings
        due = [(name, one) for name, one in self._raised.items() if one.ends_s(settings) <= now_s]
        for name, _ in due:
            del self._raised[name]
        return [ServiceLowered(name, one.rate, _why_lowered(name, one, settings)) for name, one in due]


def _why_lowered(name: str, one: Raise, settings: Settings) -> str:
    if one.below_since_s + settings.hold_s <= one.heard_s + settings.silence_s:
        spent = f"{name} spent its error budget less than {settings.lower_below:g} times as fast as it may"
        return f"{spent} for {settings.hold_s:g} s"
    return f"nobody has told for {settings.silence_s:g} s how fast {name} spends its error budget"
