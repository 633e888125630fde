"""What the machine of agreements knows, as messages for its readers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace

from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.core.ola.replicated.rows import Generation, NodeWindow, ObjectiveCount
from weftmesh.core.ola.replicated.window_plans import is_shown
from weftmesh.ola.v1 import agreement_pb2, ola_pb2
from weftmesh.runtime.wire.learning_records import fill


def agreements_view(
    machine: Agreements, name: str, *, all_generations: bool, event_limit: int
) -> ola_pb2.AgreementsView:
    """Return what `machine` knows but for counts and confirmations.

    Args:
        machine: of agreements.
        name: of one agreement; empty for all.
        all_generations: that are kept; otherwise the newest of each.
        event_limit: the newest so many events.
    """
    read = machine.read
    view = ola_pb2.AgreementsView(revision=machine.revision, newest_s=read.newest_s)
    standings = [one for one in read.standings() if name in ("", one.name)]
    services = set()
    for standing in standings:
        fill(view.standings.add(), standing)
        newest = read.generation(standing.name)
        services |= {newest.agreement.service} if newest is not None and name else set()
        of_name = read.generations(standing.name) if all_generations else [newest]
        for generation in of_name:
            if generation is not None:
                fill(view.generations.add(), generation)
        for exclusion in read.added_exclusions(standing.name):
            fill(view.exclusions.add(), exclusion)
    for override in read.overrides():
        if not name or override.route in ("", *services):
            fill(view.overrides.add(), override)
    for weights in read.all_weights():
        if not name or weights.route in services:
            fill(view.weights.add(), weights)
    for breach in read.breaches(name):
        fill(view.breaches.add(), breach)
    events = read.events_since(read.event_floor) or ()
    for event in [one for one in events if not name or one.subject in (name, *services)][-event_limit:]:
        fill(view.events.add(), event)
    return view


def in_force_view(machine: Agreements, generation: Generation) -> ola_pb2.AgreementInForce:
    """Return an agreement in force as routes need it."""
    service_class = machine.read.class_of(generation.name) or generation.agreement.service_class
    message = ola_pb2.AgreementInForce(
        generation=generation.number, service_class=agreement_pb2.ServiceClass.Name(service_class)
    )
    fill(message.agreement, generation.agreement)
    for one in machine.read.added_exclusions(generation.name):
        fill(message.exclusions.add(), one.exclusion)
    return message


def controls_view(machine: Agreements) -> ola_pb2.RouteControls:
    """Return all overrides and weights."""
    message = ola_pb2.RouteControls()
    for override in machine.read.overrides():
        fill(message.overrides.add(), override)
    for weights in machine.read.all_weights():
        fill(message.weights.add(), weights)
    return message


def history_view(machine: Agreements, generation: Generation, from_s: int) -> ola_pb2.History:
    """Return what was counted and confirmed of one agreement.

    Args:
        machine: of agreements.
        generation: the agreement.
        from_s: since when, Unix seconds.
    """
    read, name = machine.read, generation.name
    message = ola_pb2.History(revision=machine.revision, newest_s=read.newest_s)
    for objective in generation.agreement.objectives:
        row = message.objectives.add(objective=objective.key)
        for part in read.parts(name, objective.key, from_s, read.newest_s + 1):
            row.parts.add(starts_s=part.starts_s, part_s=part.part_s, good=part.good, total=part.total)
    signed = set()
    for one in read.confirmations():
        judged = tuple(agreement for agreement in one.agreements if agreement.name == name)
        if judged:
            signed.add((one.node, one.starts_s))
            fill(message.confirmations.add(), replace(one, agreements=judged))
    for window in read.windows():
        own = _counts_of(window, name)
        if own and is_shown(window.starts_s, read.newest_s):
            fill(message.windows.add(), replace(window, counts=own))
            if (window.node, window.starts_s) not in signed:
                message.missing.add(node=window.node, starts_s=window.starts_s)
    return message


def _counts_of(window: NodeWindow, name: str) -> tuple[ObjectiveCount, ...]:
    """Of one agreement: a node's counts are sorted by agreement, and there may be thousands."""
    first = bisect_left(window.counts, name, key=_name)
    return window.counts[first : bisect_right(window.counts, name, lo=first, key=_name)]


def _name(one: ObjectiveCount) -> str:
    return one.name
