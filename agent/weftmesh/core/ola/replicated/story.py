"""What happened to an agreement or a route, as text for people and for failing tests."""

from __future__ import annotations

from weftmesh.core.ola.replicated.outcomes import OlaEvent
from weftmesh.core.ola.replicated.rows import class_in_force
from weftmesh.core.ola.replicated.store import Store


def story_of(store: Store, key: str) -> str:
    """A line for the agreement or route, and one for each thing of late that happened to it."""
    events = [_event_line(event) for event in store.events if event.subject == key]
    standing = store.standings.get(key)
    if standing is None:
        return "\n".join(
            [f"route {key}" if events else f"{key}: nothing is known at revision {store.revision}", *events]
        )
    if standing.retired:
        state = f"retired ({standing.retired_why})"
    else:
        agreement = store.generations[key, standing.generation].agreement
        raised = f", raised ({standing.raised_why})" if standing.raised_to else ""
        state = f"in force for {agreement.service}, class {class_in_force(agreement, standing).name.lower()}{raised}"
    breaches = [
        f"  {one.objective} breached from {one.started_s} to {one.ended_s or 'now'}"
        for one in store.breaches
        if one.name == key
    ]
    return "\n".join([f"agreement {key} generation {standing.generation} {state}", *breaches, *events])


def _event_line(event: OlaEvent) -> str:
    what = event.verb.name.lower().replace("_", " ")
    generation = f" generation {event.generation}" if event.generation else ""
    note = f" ({event.note})" if event.note else ""
    return f"  r{event.revision} {what}{generation}{note} by {event.actor} at {event.stamp}"
