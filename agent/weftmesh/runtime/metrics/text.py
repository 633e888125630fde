"""Writes an exposition as text: OpenMetrics 1.0, or the older format of Prometheus for those who ask for no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.runtime.metrics.histogram import Histogram
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric, Value

_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Format:
    """One of the two formats.

    Attributes:
        content_type: as a response names it.
        is_openmetrics: whether counters' families are named without `_total`, units are told and an end is marked.
    """

    content_type: str
    is_openmetrics: bool


OPENMETRICS: Final = Format("application/openmetrics-text; version=1.0.0; charset=utf-8", is_openmetrics=True)
PROMETHEUS: Final = Format("text/plain; version=0.0.4; charset=utf-8", is_openmetrics=False)
_MEDIA: Final = {"application/openmetrics-text": OPENMETRICS, "text/plain": PROMETHEUS}
_VERSIONS: Final = {OPENMETRICS: ("1.0.0", "0.0.1"), PROMETHEUS: ("0.0.4",)}


def chosen_format(accept: str) -> Format:
    """The format that an Accept header (RFC 9110, 12.5.1) prefers; Prometheus' own for one that names neither.

    A version that is not known here is not offered; of equal preference OpenMetrics is taken.
    """
    best, found = 0.0, PROMETHEUS
    for part in accept.split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        given = {
            key.strip().lower(): value.strip().strip('"') for key, _, value in (p.partition("=") for p in parameters)
        }
        offered = _MEDIA.get(media.lower())
        if offered is None or given.get("version", _VERSIONS[offered][0]) not in _VERSIONS[offered]:
            continue
        quality = _quality(given.get("q", "1"))
        if quality > best or (quality == best > 0 and offered is OPENMETRICS):
            best, found = quality, offered
    return found


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def written(exposition: Exposition, form: Format) -> bytes:
    """All samples in `form`, UTF-8."""
    lines = [line for metric, series in exposition.families() for line in _family(metric, series, form)]
    if form.is_openmetrics:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines).encode()


def _family(metric: Metric, series: Mapping[tuple[str, ...], Value], form: Format) -> Iterator[str]:
    name, kind = metric.name, metric.kind.value
    if not form.is_openmetrics:
        name, kind = metric.sample_name, "gauge" if metric.kind is Kind.INFO else kind
    yield f"# HELP {name} {metric.help.translate(_ESCAPES if form.is_openmetrics else _HELP_ESCAPES)}"
    yield f"# TYPE {name} {kind}"
    if metric.unit and form.is_openmetrics:
        yield f"# UNIT {name} {metric.unit}"
    for values, value in series.items():
        labels = list(zip(metric.labels, values, strict=True))
        if isinstance(value, Histogram):
            yield from _histogram(metric.name, labels, value)
        else:
            yield f"{metric.sample_name}{_labels(labels)} {_number(value)}"


def _histogram(name: str, labels: Sequence[tuple[str, str]], histogram: Histogram) -> Iterator[str]:
    reached = 0
    for bound, reached in histogram.cumulative():
        yield f"{name}_bucket{_labels([*labels, ('le', _number(float(bound)))])} {reached}"
    yield f"{name}_count{_labels(labels)} {reached}"
    yield f"{name}_sum{_labels(labels)} {_number(histogram.sum)}"


def _labels(labels: Sequence[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return repr(value) if isinstance(value, float) else str(int(value))
