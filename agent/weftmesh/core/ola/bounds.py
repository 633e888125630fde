"""Values that no agreement may have, whoever sent it: names, counts, shares and spans."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from weftmesh.core.ola import plan_words as words
from weftmesh.core.ola import problems as limits
from weftmesh.core.ola.model import (
    DAY_MINUTES,
    WHOLE_PPB,
    Agreement,
    OpenTask,
    PacketLoss,
    ResponseTime,
    Throughput,
)
from weftmesh.core.ola.objective_problems import objective_path
from weftmesh.core.ola.problems import NAME, NAME_ALLOWED, Path, Problem


def bound_problems(agreement: Agreement) -> Iterator[Problem]:
    """What is out of bounds, in the order of a file."""
    yield from _name(("metadata", "name"), agreement.name)
    yield from _labels(agreement)
    yield from _name(("service",), agreement.service)
    yield from _text(("provider",), agreement.provider)
    yield from _text(("consumer",), agreement.consumer)
    yield from _number(("window",), agreement.window_s, limits.WINDOW_S, "s")
    yield from _counts(agreement)
    yield from _objectives(agreement)
    yield from _probes(agreement)
    yield from _endpoints(agreement)
    yield from _dependencies(agreement)
    yield from _number(("route", "maxEjectionPercent"), agreement.route.ejected_percent_max, limits.PERCENT, "%")
    yield from _hours_and_exclusions(agreement)
    for index, action in enumerate(agreement.on_breach):
        if isinstance(action, OpenTask):
            yield from _text(("onBreach", index, "openTask", "project"), action.project)
            yield from _text(("onBreach", index, "openTask", "title"), action.title)


def _labels(agreement: Agreement) -> Iterator[Problem]:
    names = [name for name, _ in agreement.labels]
    if sorted(set(names)) != names:
        yield Problem(("metadata", "labels"), "labels are twice or out of order", "name each once, sorted")
    for name, value in agreement.labels:
        at: Path = ("metadata", "labels", name[: limits.TEXT_CHARACTERS_MAX])
        yield from _name(at, name)
        yield from _text(at, value)


def _counts(agreement: Agreement) -> Iterator[Problem]:
    yield from _most(("objectives",), agreement.objectives, limits.OBJECTIVES_MAX)
    yield from _most(("probes",), agreement.probes, limits.PROBES_MAX)
    yield from _most(("endpoints",), agreement.endpoints, limits.ENDPOINTS_MAX)
    yield from _most(("dependsOn",), agreement.depends_on, limits.DEPENDENCIES_MAX)
    yield from _most(("hours", "weekly"), agreement.hours.weekly, limits.OPEN_HOURS_MAX)
    yield from _most(("exclusions",), agreement.exclusions, limits.EXCLUSIONS_MAX)
    yield from _most(("onBreach",), agreement.on_breach, limits.ACTIONS_MAX)
    yield from _most(("metadata", "labels"), agreement.labels, limits.LABELS_MAX)


def _objectives(agreement: Agreement) -> Iterator[Problem]:
    shares = range(WHOLE_PPB + 1)
    for index, one in enumerate(agreement.objectives):
        at = objective_path(agreement.objectives, index)
        share = one.limit_ppb if isinstance(one, PacketLoss) else one.target_ppb
        yield from _number(at, share, shares, "parts per billion")
        if isinstance(one, ResponseTime):
            yield from _number((*at, "threshold"), one.threshold_us, limits.THRESHOLD_US, "us")
        if isinstance(one, Throughput):
            yield from _number((*at, "atLeast"), one.at_least, limits.REQUESTS, "requests")
            yield from _number((*at, "per"), one.part_ms, limits.PART_MS, "ms")


def _probes(agreement: Agreement) -> Iterator[Problem]:
    for index, probe in enumerate(agreement.probes):
        yield from _number(("probes", index, "every"), probe.every_ms, limits.PROBE_MS, "ms")
        yield from _number(("probes", index, "timeout"), probe.timeout_ms, limits.PROBE_MS, "ms")
        yield from _text(("probes", index, "path"), probe.path, optional=True)


def _endpoints(agreement: Agreement) -> Iterator[Problem]:
    for index, endpoint in enumerate(agreement.endpoints):
        at: Path = ("endpoints", index)
        yield from _name((*at, "name"), endpoint.name)
        yield from _text((*at, "address"), endpoint.address)
        yield from _number((*at, "capacity"), endpoint.capacity, limits.CAPACITY, "requests")
        yield from _text((*at, "zone"), endpoint.zone, optional=True)
        if endpoint.node:
            yield from _name((*at, "node"), endpoint.node)


def _dependencies(agreement: Agreement) -> Iterator[Problem]:
    for index, dependency in enumerate(agreement.depends_on):
        at: Path = ("dependsOn", index)
        if not dependency.any_of:
            yield Problem((*at, "anyOf"), "nothing is named", "name an agreement")
        yield from _most((*at, "anyOf"), dependency.any_of, limits.ANY_OF_MAX)
        for name in dependency.any_of:
            yield from _name((*at, "ola"), name)
        if dependency.cached_ppb not in range(WHOLE_PPB):
            message = f"{words.percent(dependency.cached_ppb)} is not a part of the requests"
            yield Problem((*at, "cached", "hitRatio"), message, "use less than 100, or leave the dependency out")


def _hours_and_exclusions(agreement: Agreement) -> Iterator[Problem]:
    minutes = range(DAY_MINUTES + 1)
    yield from _text(("hours", "timezone"), agreement.hours.timezone)
    for index, one in enumerate(agreement.hours.weekly):
        at: Path = ("hours", "weekly", index)
        yield from _number((*at, "from"), one.from_minute, minutes, "minutes of the day")
        yield from _number((*at, "to"), one.to_minute, minutes, "minutes of the day")
        for day in one.days:
            yield from _number((*at, "days"), day, range(7), "days after Monday")
    for index, exclusion in enumerate(agreement.exclusions):
        yield from _text(("exclusions", index, "reason"), exclusion.reason)
        yield from _text(("exclusions", index, "from"), exclusion.starts_at)
        yield from _text(("exclusions", index, "timezone"), exclusion.timezone)
        yield from _text(("exclusions", index, "rrule"), exclusion.rrule, optional=True)
        yield from _text(("exclusions", index, "author"), exclusion.author, optional=True)
        yield from _number(("exclusions", index, "duration"), exclusion.duration_s, limits.EXCLUSION_S, "s")


def _name(at: Path, name: str) -> Iterator[Problem]:
    if not NAME.fullmatch(name):
        yield Problem(at, f"{name[: limits.TEXT_CHARACTERS_MAX]!r} is not a valid name", f"use {NAME_ALLOWED}")


def _text(at: Path, text: str, *, optional: bool = False) -> Iterator[Problem]:
    if not text and optional:
        return
    if not text.strip() or len(text) > limits.TEXT_CHARACTERS_MAX or not text.isprintable():
        yield Problem(
            at, "this is empty, too long or not one line", f"use 1 to {limits.TEXT_CHARACTERS_MAX} characters"
        )


def _number(at: Path, found: int, allowed: range, unit: str) -> Iterator[Problem]:
    if found not in allowed:
        yield Problem(at, f"{found} {unit} is out of bounds", f"use {allowed[0]} to {allowed[-1]} {unit}")


def _most(at: Path, rows: Sized, most: int) -> Iterator[Problem]:
    if len(rows) > most:
        yield Problem(at, f"there are {len(rows)} of them", f"at most {most} can be kept: split the agreement")
