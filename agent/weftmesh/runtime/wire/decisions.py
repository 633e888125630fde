"""Decisions and rows of routing tables as messages, and back."""

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.core.routing.model import Decision, Endpoint, Reading, Row
from weftmesh.routing.v1 import decision_pb2
from weftmesh.runtime.wire.learning_records import fill, read


def decision_message(decision: Decision) -> decision_pb2.Decision:
    """Return `decision` as a message; equal decisions make equal bytes."""
    inputs = decision.inputs
    message = decision_pb2.Decision(
        number=decision.number,
        before=map(row_message, decision.before),
        after=map(row_message, decision.after),
        inputs=decision_pb2.Inputs(
            route=inputs.route,
            time_s=inputs.time_s,
            mode=inputs.mode,
            endpoints=map(_endpoint_message, inputs.endpoints),
            readings=map(reading_message, inputs.readings),
        ),
    )
    message.inputs.settings.SetInParent()
    fill(message.inputs.settings, inputs.settings)
    for override in inputs.overrides:
        fill(message.inputs.overrides.add(), override)
    return message


def decision_of(message: decision_pb2.Decision) -> Decision:
    """Return the decision that `message` holds.

    Raises:
        InvalidInputError: a part is missing or out of range, or a word that this version does not know.
    """
    return read(Decision, message)


def row_message(row: Row) -> decision_pb2.Row:
    """Return `row` as a message. Field by field: tables of a thousand rows are kept while requests wait."""
    return decision_pb2.Row(
        endpoint=row.endpoint,
        weight=row.weight,
        target=row.target,
        admission=row.admission,
        condition=row.condition,
        reason=row.reason,
        detail=row.detail,
        since_s=row.since_s,
        until_s=row.until_s,
        ejections=row.ejections,
        direction=row.direction,
        moved_s=row.moved_s,
        turned_s=row.turned_s,
    )


def reading_message(reading: Reading) -> decision_pb2.Reading:
    """Return `reading` as a message."""
    return decision_pb2.Reading(
        endpoint=reading.endpoint,
        service_s=reading.service_s,
        rtt_s=reading.rtt_s,
        bad_lower=reading.bad_lower,
        in_flight=reading.in_flight,
        samples=reading.samples,
        alive=reading.alive,
    )


def rows_of(messages: Iterable[decision_pb2.Row]) -> tuple[Row, ...]:
    """Return the rows that `messages` hold.

    Raises:
        InvalidInputError: a word that this version does not know.
    """
    return tuple(read(Row, one) for one in messages)


def _endpoint_message(endpoint: Endpoint) -> decision_pb2.Endpoint:
    return decision_pb2.Endpoint(
        name=endpoint.name, address=endpoint.address, capacity=endpoint.capacity, zone=endpoint.zone
    )
