"""What changes what a step does, and nothing else: no labels, no day of review."""

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.core.ola.model import (
    Agreement,
    BreachAction,
    Endpoint,
    Exclusion,
    Hours,
    Objective,
    PacketLoss,
    Probe,
    RaiseClass,
    ResponseTime,
    Throughput,
    Uptime,
)
from weftmesh.core.workflow.model import Setting, Settings


def of_probe(probe: Probe, endpoints: Iterable[Endpoint]) -> Settings:
    """How the endpoints are asked, and which they are."""
    return _pairs(
        endpoints=_unordered((one.name, one.address, one.node) for one in endpoints),
        every_ms=probe.every_ms,
        kind=int(probe.kind),
        path=probe.path,
        timeout_ms=probe.timeout_ms,
        tls=probe.tls,
    )


def of_objective(objective: Objective) -> Settings:
    """What makes an event good, and how many have to be."""
    match objective:
        case Uptime():
            return _pairs(kind="uptime", target_ppb=objective.target_ppb)
        case ResponseTime():
            return _pairs(kind="response-time", target_ppb=objective.target_ppb, threshold_us=objective.threshold_us)
        case PacketLoss():
            return _pairs(kind="packet-loss", limit_ppb=objective.limit_ppb)
        case Throughput():
            return _pairs(
                at_least=objective.at_least,
                kind="throughput",
                part_ms=objective.part_ms,
                target_ppb=objective.target_ppb,
            )


def of_evaluation(agreement: Agreement, objective: Objective) -> Settings:
    """Over which time an objective is judged."""
    return _pairs(
        exclusions=_unordered(_exclusion(one) for one in agreement.exclusions),
        hours=_hours(agreement.hours),
        on_breach=_unordered(_action(one) for one in agreement.on_breach),
        target_ppb=objective.target_ppb,
        window_s=agreement.window_s,
    )


def of_decision(sharing: Iterable[Agreement]) -> Settings:
    """What a route may do, as each agreement about its service says it."""
    return _pairs(
        agreements=_unordered(
            (
                one.name,
                int(one.service_class),
                int(one.route.mode),
                one.route.ejected_percent_max,
                _unordered((end.name, end.address, end.capacity, end.zone, end.node) for end in one.endpoints),
            )
            for one in sharing
        )
    )


def of_confirmation(agreement: Agreement) -> Settings:
    """Who owes whom."""
    return _pairs(consumer=agreement.consumer, provider=agreement.provider)


def _hours(hours: Hours) -> Setting:
    weekly = _unordered((tuple(sorted(one.days)), one.from_minute, one.to_minute) for one in hours.weekly)
    return hours.timezone, weekly


def _exclusion(one: Exclusion) -> Setting:
    return one.starts_at, one.duration_s, one.timezone, one.rrule


def _action(one: BreachAction) -> Setting:
    if isinstance(one, RaiseClass):
        return "raise-class", int(one.to)
    return "open-task", one.project, one.title


def _pairs(**values: Setting) -> Settings:
    return tuple(sorted(values.items()))


def _unordered(values: Iterable[Setting]) -> tuple[Setting, ...]:
    """In an order that depends neither on the one they were written in nor on what Python holds to be printable."""
    return tuple(sorted(values, key=ascii))
