"""What a metric is, and the moment of all metrics that one scrape is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from weftmesh.runtime.metrics.histogram import Histogram

SERIES_MAX: Final = 512
"""Of one metric: further ones are left out of a scrape, and counted."""
LABEL_CHARACTERS_MAX: Final = 128
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED: Final = ("_total", "_created", "_bucket", "_count", "_sum", "_info")


class Kind(StrEnum):
    """How a metric is read; the words are those of OpenMetrics."""

    COUNTER = "counter"
    """Only grows, from 0 at the start of the process."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    """Words about the process, as labels; the value is 1."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric family.

    Attributes:
        name: of the family, without the suffix that its kind adds to samples (`_total`, `_info`).
        kind: how it is read.
        help: one line for people.
        unit: the last word of the name, in base units; empty for counts of things.
        labels: names of the labels, in the order in which samples give their values.
    """

    name: str
    kind: Kind
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.endswith(_RESERVED):
            raise ValueError(f"{self.name!r} is no name of a metric family")
        if self.unit and not self.name.endswith(f"_{self.unit}"):
            raise ValueError(f"{self.name} has to end with its unit, {self.unit}")

    @property
    def sample_name(self) -> str:
        """What a query names; of a histogram, what its series begin with."""
        return self.name + {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")


Value = float | Histogram


@dataclass(slots=True)
class Exposition:
    """Samples of one moment, family by family.

    Attributes:
        left_out: series beyond SERIES_MAX of their metric.
    """

    left_out: int = 0
    _families: dict[Metric, dict[tuple[str, ...], Value]] = field(default_factory=dict)

    def add(self, metric: Metric, value: Value, *labels: str) -> None:
        """Say what a metric is now.

        Args:
            metric: which.
            value: a number in its unit, or a histogram.
            labels: values, one for each of the metric's labels; long ones are cut.

        Raises:
            ValueError: values and labels, or value and kind, do not fit.
        """
        if len(labels) != len(metric.labels) or isinstance(value, Histogram) != (metric.kind is Kind.HISTOGRAM):
            raise ValueError(f"{metric.name} is a {metric.kind} with the labels {metric.labels}")
        series = self._families.setdefault(metric, {})
        key = tuple(one[:LABEL_CHARACTERS_MAX] for one in labels)
        if key not in series and len(series) >= SERIES_MAX:
            self.left_out += 1
        else:
            series[key] = value

    def families(self) -> Iterator[tuple[Metric, dict[tuple[str, ...], Value]]]:
        """Each metric that has samples, with them, by name."""
        yield from sorted(self._families.items(), key=lambda item: item[0].name)


Collector = Callable[[Exposition], None]
"""Says what some metrics are now; called on the event loop, and quick."""
