"""What is different between two generations of an agreement, field by field, in the words of its file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import zip_longest

from weftmesh.core.ola import plan_words as words
from weftmesh.core.ola.model import (
    Agreement,
    BreachAction,
    Dependency,
    Exclusion,
    Objective,
    OpenHours,
    PacketLoss,
    Probe,
    RaiseClass,
    ResponseTime,
    Throughput,
    Uptime,
)
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class FieldChange:
    """One field that is different.

    Attributes:
        field: where it stands below `spec`, items by their name where they have one: objectives.responseTime.p99.
        before: as text; None if it was not there.
        after: as text; None if it is not there any more.
    """

    field: str
    before: str | None
    after: str | None


def changed_fields(before: Agreement, after: Agreement) -> tuple[FieldChange, ...]:
    """Empty where both say the same, in whatever order they list endpoints, objectives or labels."""
    if before == after:
        return ()
    old, new = _texts(before), _texts(after)
    return tuple(
        FieldChange(field, *pair)
        for field in dict.fromkeys([*new, *old])
        if old[field] != new[field]
        for pair in zip_longest(_missing(old[field], new[field]), _missing(new[field], old[field]))
    )


def _texts(agreement: Agreement) -> defaultdict[str, list[str]]:
    """Of each field its text; of a list whose items have no names, the texts of its items, sorted."""
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for field, text in described(agreement):
        texts[field].append(text)
    return texts


def _missing(some: list[str], others: list[str]) -> Iterator[str]:
    return (Counter(some) - Counter(others)).elements()


def described(agreement: Agreement) -> Iterator[tuple[str, str]]:
    """All that an agreement says: where it stands in a file, and its text there."""
    yield "provider", agreement.provider
    yield "consumer", agreement.consumer
    yield "service", agreement.service
    yield "class", agreement.service_class.name.lower()
    yield "window", words.seconds(agreement.window_s)
    if agreement.review:
        yield "review", agreement.review
    yield "hours.timezone", agreement.hours.timezone
    yield "hours.weekly", ", ".join(map(_open_hours, sorted(agreement.hours.weekly, key=_open_hours_key))) or "always"
    yield from (_objective(one) for one in sorted(agreement.objectives, key=lambda one: one.key))
    yield from (("probes", text) for text in sorted(map(_probe, agreement.probes)))
    for endpoint in sorted(agreement.endpoints, key=lambda one: one.name):
        at = f"endpoints.{endpoint.name}"
        yield f"{at}.address", endpoint.address
        yield f"{at}.capacity", str(endpoint.capacity)
        yield from ((f"{at}.{name}", value) for name in ("zone", "node") if (value := getattr(endpoint, name)))
    for dependency in sorted(agreement.depends_on, key=lambda one: one.any_of):
        yield f"dependsOn.{'|'.join(dependency.any_of)}", _dependency(dependency)
    yield "route.mode", agreement.route.mode.name.lower()
    yield "route.maxEjectionPercent", str(agreement.route.ejected_percent_max)
    yield from (("onBreach", text) for text in sorted(map(_action, agreement.on_breach)))
    yield from (("exclusions", text) for text in sorted(map(exclusion_text, agreement.exclusions)))
    yield from ((f"labels.{name}", value) for name, value in agreement.labels)


def _objective(one: Objective) -> tuple[str, str]:
    match one:
        case Uptime():
            return "objectives.uptime", words.percent(one.target_ppb)
        case ResponseTime():
            at = f"objectives.responseTime.p{words.number(one.target_ppb)}"
            return at, words.microseconds(one.threshold_us)
        case PacketLoss():
            return "objectives.packetLoss", f"at most {words.percent(one.limit_ppb)}"
        case Throughput():
            per = words.microseconds(one.part_ms * 1000)
            return "objectives.throughput", f"{one.at_least} per {per}, {words.percent(one.target_ppb)} of the time"


def _open_hours_key(one: OpenHours) -> tuple[tuple[int, ...], int, int]:
    return tuple(sorted(one.days)), one.from_minute, one.to_minute


def _open_hours(one: OpenHours) -> str:
    days = " ".join(words.DAYS[day] for day in sorted(one.days))
    return f"{days} {words.clock(one.from_minute)}-{words.clock(one.to_minute)}"


def _probe(one: Probe) -> str:
    kind = f"{one.kind.name.lower()}{' with TLS' if one.tls else ''}"
    every, timeout = (words.microseconds(span_ms * 1000) for span_ms in (one.every_ms, one.timeout_ms))
    return " ".join(filter(None, (kind, one.path, f"every {every}, timeout {timeout}")))


def _dependency(one: Dependency) -> str:
    cached = f", cached {words.percent(one.cached_ppb)}" if one.cached_ppb else ""
    return ("hard" if one.hard else "soft") + cached


def _action(one: BreachAction) -> str:
    if isinstance(one, RaiseClass):
        return f"raise the class to {one.to.name.lower()}"
    return f"open a task in {one.project}: {one.title}"


def exclusion_text(one: Exclusion) -> str:
    """All of an exclusion in a line."""
    again = f", {one.rrule}" if one.rrule else ""
    by = f", by {one.author}" if one.author else ""
    return f"{one.reason}: {one.starts_at} {one.timezone} for {words.seconds(one.duration_s)}{again}{by}"
