"""One route as its node knows it: endpoints, orders, readings, the table in force, and the latest decisions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

from weftmesh.core.routing.model import Decision, Endpoint, Inputs, Mode, Override, Reading, Row, Settings

DECISIONS_KEPT: Final = 256
"""For stories; the log on disk keeps more."""


@dataclass(slots=True)
class Route:
    """All endpoints of one service as seen from this node."""

    name: str
    endpoints: tuple[Endpoint, ...]
    settings: Settings
    mode: Mode = Mode.OBSERVE
    overrides: tuple[Override, ...] = ()
    readings: dict[str, Reading] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    version: int = 0
    """How often the table in force changed."""
    decided: int = 0
    decisions: deque[Decision] = field(default_factory=lambda: deque(maxlen=DECISIONS_KEPT))
    proposed: tuple[Row, ...] = ()
    """What the last decision computed, whether it took effect or not."""
    deadline_s: float | None = None

    def draft(self) -> Route:
        """A route like this one that may be changed while this one is seen."""
        return replace(self, readings=self.readings.copy(), decisions=self.decisions.copy())

    def inputs(self, now_s: float) -> Inputs:
        """What a decision is computed from, as things stand."""
        return Inputs(
            self.name,
            now_s,
            self.mode,
            self.settings,
            self.endpoints,
            self.overrides,
            tuple(self.readings[one.name] for one in self.endpoints if one.name in self.readings),
        )
