"""OpenSLO v1 documents as agreements: an SLO becomes one, the other kinds are read for it.

weftmesh counts requests by itself and asks nobody for numbers, so an indicator has to be a ratio of what it
counts: a metric source of type `weftmesh` with `spec: {metric: requests}`, on the good side perhaps with
`within: 60ms`. What cannot be done is refused by name and place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from weftmesh.core.ola import problems as limits
from weftmesh.core.ola.model import Agreement, Objective, ResponseTime, Uptime
from weftmesh.runtime.ola_files.explaining import findings_of
from weftmesh.runtime.ola_files.findings import Code, Finding, Findings, Severity, Source
from weftmesh.runtime.ola_files.nodes import Location, MapNode, has, key_mark_at, mark_at, plain, text_at
from weftmesh.runtime.ola_files.openslo_forms import (
    FORMS,
    MetricSourceForm,
    ObjectiveForm,
    SliForm,
    SliSpecForm,
    SloForm,
    TimeWindowForm,
)
from weftmesh.runtime.ola_files.values import duration

METRIC_SOURCE: Final = "weftmesh"
EVERYONE: Final = "everyone"
PROVIDER: Final = "weftmesh/provider"
CONSUMER: Final = "weftmesh/consumer"
_WRITE_SOURCE: Final = "use metricSource: {type: weftmesh, spec: {metric: requests}}; docs/ola.md has an example"
_WINDOW: Final = ("spec", "timeWindow", 0, "duration")
PLACES: Final[Mapping[str, Location]] = {
    "window": _WINDOW,
    "provider": ("metadata", "annotations", PROVIDER),
    "consumer": ("metadata", "annotations", CONSUMER),
}
"""Where that is written which an OLA has as a key of its own."""
_ALERTS: Final = ("AlertCondition", "AlertPolicy", "AlertNotificationTarget")
_parse_threshold = duration("us", limits.THRESHOLD_US, "60ms")
_parse_window = duration("s", limits.WINDOW_S, "28d")


@dataclass(frozen=True, slots=True, eq=False)
class OpenSloDocument:
    """A document, and where it stands; equal to itself alone."""

    source: Source
    root: MapNode


@dataclass(frozen=True, slots=True)
class _Indicator:
    """What an SLO measures, and where that is written."""

    spec: SliSpecForm
    document: OpenSloDocument
    at: Location


class _UnsupportedError(Exception):
    """A part that cannot be done, and where it is."""

    def __init__(self, document: OpenSloDocument, at: Location, message: str, fix: str) -> None:
        super().__init__(message)
        mark = key_mark_at(document.root, at)
        self.finding = Finding(document.source, mark, Code.UNSUPPORTED, message, fix)


class Catalogue:
    """The OpenSLO documents of all files, since they refer to one another."""

    def __init__(self) -> None:
        self._slos: dict[OpenSloDocument, SloForm] = {}
        self._indicators: dict[str, _Indicator] = {}

    @property
    def objectives(self) -> Iterator[OpenSloDocument]:
        """The SLO documents."""
        return iter(self._slos)

    def add(self, document: OpenSloDocument, findings: Findings) -> None:
        """Check a document's form and keep what may be needed of it."""
        kind = text_at(document.root, "kind") or ""
        form = FORMS.get(kind)
        if form is None:
            mark = mark_at(document.root, ("kind",))
            message = f"OpenSLO v1 has no kind {kind!r}" if kind else "`kind` is missing"
            findings.add(Finding(document.source, mark, Code.BAD_VALUE, message, f"use one of {', '.join(FORMS)}"))
            return
        try:
            read = form.model_validate(plain(document.root))
        except ValidationError as error:
            for finding in findings_of(error, form, document.source, document.root):
                findings.add(finding)
            return
        if isinstance(read, SloForm):
            self._slos[document] = read
        elif isinstance(read, SliForm):
            self._keep(read.metadata.name, _Indicator(read.spec, document, ("spec",)), findings)
        elif kind in _ALERTS:
            findings.add(_without_effect(document))

    def agreement_of(self, document: OpenSloDocument, findings: Findings) -> Agreement | None:
        """The agreement that an SLO describes; None when it asks for what cannot be done."""
        form = self._slos[document]
        found = [*_unsupported_parts(document, form)]
        objectives: list[Objective] = []
        for index, objective in enumerate(form.spec.objectives):
            try:
                indicator = self._indicator(document, form)
                objectives.append(_objective(indicator, objective, document, ("spec", "objectives", index)))
            except _UnsupportedError as error:
                found.append(error.finding)
        for finding in found:
            findings.add(finding)
        if found:
            return None
        metadata, spec = form.metadata, form.spec
        team = metadata.labels.get("team", (spec.service,))[0]
        return Agreement(
            name=metadata.name,
            provider=metadata.annotations.get(PROVIDER, team),
            consumer=metadata.annotations.get(CONSUMER, EVERYONE),
            service=spec.service,
            objectives=tuple(objectives),
            window_s=_parse_window(spec.time_window[0].duration),
        )

    def _keep(self, name: str, indicator: _Indicator, findings: Findings) -> None:
        """Keep an SLI, with a warning if no SLO can use it."""
        before = self._indicators.setdefault(name, indicator)
        if before is not indicator:
            where = f"{before.document.source.name}:{mark_at(before.document.root, ('metadata', 'name')).line}"
            mark = mark_at(indicator.document.root, ("metadata", "name"))
            message = f"the SLI {name} is there already, in {where}"
            fix = "give it another name, or leave it out"
            findings.add(Finding(indicator.document.source, mark, Code.DUPLICATE, message, fix))
            return
        try:
            _good_within_us(indicator)
        except _UnsupportedError as error:
            findings.add(replace(error.finding, severity=Severity.WARNING))

    def _indicator(self, document: OpenSloDocument, form: SloForm) -> _Indicator:
        if form.spec.indicator is not None:
            return _Indicator(form.spec.indicator.spec, document, ("spec", "indicator", "spec"))
        name = form.spec.indicator_ref
        if name in self._indicators:
            return self._indicators[name]
        at = ("spec", "indicatorRef") if name else ("spec",)
        message = f"there is no SLI {name} in these files" if name else "this SLO has no indicator"
        raise _UnsupportedError(document, at, message, "add an `indicator`, or give the file with the SLI too")


def _without_effect(document: OpenSloDocument) -> Finding:
    return Finding(
        document.source,
        mark_at(document.root, ("kind",)),
        Code.NO_EFFECT,
        "this is read and changes nothing: burn rates are watched for every agreement",
        "say what happens with `onBreach` in an OLA, or leave it out",
        Severity.WARNING,
    )


def _unsupported_parts(document: OpenSloDocument, form: SloForm) -> Iterator[Finding]:
    """Parts of an SLO, besides its indicator, that cannot be done."""

    def unsupported(at: Location, message: str, fix: str) -> Finding:
        return _UnsupportedError(document, at, message, fix).finding

    if form.spec.budgeting_method != "Occurrences":
        message = f"budgets are counted in events, not by {form.spec.budgeting_method}"
        yield unsupported(("spec", "budgetingMethod"), message, "budgetingMethod: Occurrences")
    yield from _window_parts(document, form.spec.time_window[0])
    if form.spec.alert_policies:
        message = "nobody is alerted: burn rates are watched for every agreement, and shown"
        yield unsupported(("spec", "alertPolicies"), message, "say what happens with `onBreach` in an OLA")
    for index, objective in enumerate(form.spec.objectives):
        at = ("spec", "objectives", index)
        if objective.time_slice_target is not None or objective.time_slice_window:
            key = "timeSliceTarget" if objective.time_slice_target is not None else "timeSliceWindow"
            yield unsupported((*at, key), "time slices are not judged", "leave it out, and count Occurrences")
        if objective.op or objective.value is not None:
            key = "op" if objective.op else "value"
            yield unsupported((*at, key), "a ratio is compared with its target alone", f"leave `{key}` out")
        if objective.composite_weight is not None or objective.indicator is not None or objective.indicator_ref:
            key = next(
                one for one in ("compositeWeight", "indicator", "indicatorRef") if has(document.root, (*at, one))
            )
            yield unsupported((*at, key), "composite objectives are not judged", "write an SLO for each indicator")


def _window_parts(document: OpenSloDocument, window: TimeWindowForm) -> Iterator[Finding]:
    at = ("spec", "timeWindow", 0)
    if not window.is_rolling or window.calendar is not None:
        key = "calendar" if window.calendar is not None else "isRolling"
        error = _UnsupportedError(
            document,
            (*at, key),
            "windows that follow a calendar are not judged",
            "use isRolling: true, and no `calendar`",
        )
        yield error.finding
    if window.duration[-1] in "MQY":
        error = _UnsupportedError(
            document, _WINDOW, "months, quarters and years differ in length", "write days, such as 28d"
        )
        yield error.finding
        return
    try:
        _parse_window(window.duration)
    except PydanticCustomError as refusal:
        yield _UnsupportedError(document, _WINDOW, *_both_halves(refusal)).finding


def _objective(indicator: _Indicator, objective: ObjectiveForm, document: OpenSloDocument, at: Location) -> Objective:
    within_us = _good_within_us(indicator)
    target = objective.target if objective.target is not None else objective.target_percent
    if target is None:
        raise _UnsupportedError(document, at, "`target` is missing", "add target: 0.999, or targetPercent: 99.9")
    return Uptime(target) if within_us is None else ResponseTime(target, within_us)


def _good_within_us(indicator: _Indicator) -> int | None:
    """How soon a good request is answered, in microseconds; None if any answer without an error is good."""
    spec, at = indicator.spec, tuple(indicator.at)
    ratio = spec.ratio_metric
    if ratio is None:
        where = (*at, "thresholdMetric") if spec.threshold_metric is not None else at
        fix = "write a ratioMetric; a response time is `good` with spec: {metric: requests, within: 60ms}"
        raise _UnsupportedError(indicator.document, where, "only ratios of counts are judged", fix)
    at = (*at, "ratioMetric")
    for key, part in (("bad", ratio.bad), ("raw", ratio.raw)):
        if part is not None:
            raise _UnsupportedError(
                indicator.document, (*at, key), f"`{key}` is not counted", "write `good` and `total`"
            )
    if ratio.good is None or ratio.total is None:
        raise _UnsupportedError(indicator.document, at, "a ratio needs both of its sides", "write `good` and `total`")
    within_us = _counted(indicator, ratio.good.metric_source, (*at, "good", "metricSource"))
    total = (*at, "total", "metricSource")
    if _counted(indicator, ratio.total.metric_source, total) is not None:
        message = "good requests are counted out of all requests"
        raise _UnsupportedError(indicator.document, (*total, "spec", "within"), message, "leave `within` out here")
    return within_us


def _counted(indicator: _Indicator, source: MetricSourceForm, at: Location) -> int | None:
    """Within how many microseconds a request has to be answered to count, if it says so."""
    if source.type != METRIC_SOURCE:
        key = "type" if source.type else "metricSourceRef"
        name = source.type or source.metric_source_ref or "an unnamed source"
        message = f"no numbers are asked of {name}: weftmesh counts by itself"
        raise _UnsupportedError(indicator.document, (*at, key), message, _WRITE_SOURCE)
    unknown = sorted(source.spec.keys() - {"metric", "within"})
    if source.spec.get("metric") != "requests" or unknown:
        where = (*at, "spec", unknown[0] if unknown else "metric")
        raise _UnsupportedError(indicator.document, where, "weftmesh does not count this", _WRITE_SOURCE)
    if "within" not in source.spec:
        return None
    try:
        return _parse_threshold(source.spec["within"])
    except PydanticCustomError as error:
        raise _UnsupportedError(indicator.document, (*at, "spec", "within"), *_both_halves(error)) from error


def _both_halves(error: PydanticCustomError) -> tuple[str, str]:
    """What a validator of a single value says: what is wrong, and what to do."""
    context = error.context or {}
    return str(context["message"]), str(context["fix"])
