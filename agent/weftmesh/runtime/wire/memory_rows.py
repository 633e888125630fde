"""What a board keeps for retries and for watchers, as rows: remembered requests and references to events, by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.model import Collision
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.board.state import EventRef, RememberedRequest
from weftmesh.runtime.wire.columns import Places, Sharing, at_places, characters_in, records, text_table
from weftmesh.runtime.wire.history_rows import decode_collision, encode_collision

_KINDS: Final = {int(kind): kind for kind in OutcomeKind}


def request_characters(request: RememberedRequest) -> int:
    """How much text a remembered request brings into a row."""
    outcome = request.outcome
    values = [value for one in outcome.collisions for value in (one.base, one.yours, one.theirs)]
    return len(outcome.message) + sum(map(characters_in, values)) + sum(map(len, outcome.mergeable_paths))


def encode_requests(requests: Sequence[RememberedRequest], row: command_pb2.RequestRows) -> None:
    """Fill an empty `row` with remembered requests."""
    outcomes = [request.outcome for request in requests]
    row.request_ids.extend([request.request_id for request in requests])
    row.digests.extend([request.digest for request in requests])
    row.orders.extend([request.order for request in requests])
    row.kinds.extend([outcome.kind for outcome in outcomes])
    row.revisions.extend([outcome.revision for outcome in outcomes])
    row.subjects.extend([outcome.subject for outcome in outcomes])
    row.current_versions.extend([outcome.current_version for outcome in outcomes])
    for place, outcome in enumerate(outcomes):
        if outcome.message or outcome.collisions or outcome.mergeable_paths:
            detail = row.details.add(request=place, message=outcome.message, mergeable_paths=outcome.mergeable_paths)
            for collision in outcome.collisions:
                encode_collision(collision, detail.collisions.add())


def decode_requests(row: command_pb2.RequestRows, sharing: Sharing) -> list[RememberedRequest]:
    """Return the remembered requests in `row`; ValueError, LookupError or InvalidInputError when it has others."""
    count = len(row.request_ids)
    messages = [""] * count
    collisions: list[tuple[Collision, ...]] = [()] * count
    mergeable_paths: list[tuple[str, ...]] = [()] * count
    for detail in row.details:
        messages[detail.request] = detail.message
        collisions[detail.request] = tuple([decode_collision(collision) for collision in detail.collisions])
        mergeable_paths[detail.request] = tuple(detail.mergeable_paths)
    outcomes = records(
        Outcome,
        kind=[_KINDS[kind] for kind in row.kinds[:]],
        revision=sharing.column(row.revisions[:]),
        subject=sharing.column(row.subjects[:]),
        message=messages,
        collisions=collisions,
        mergeable_paths=mergeable_paths,
        current_version=row.current_versions[:],
    )
    return records(
        RememberedRequest,
        request_id=sharing.column(row.request_ids[:]),
        digest=row.digests[:],
        outcome=outcomes,
        order=sharing.column(row.orders[:]),
    )


def event_characters(event: EventRef) -> int:
    """How much text a reference brings into a row."""
    return len(event.task_id)


def encode_events(events: Sequence[EventRef], row: command_pb2.EventRows) -> None:
    """Fill an empty `row` with references to events."""
    texts = Places("")
    row.revisions.extend([event.revision for event in events])
    row.projects.extend(texts.of([event.project_id for event in events]))
    row.task_ids.extend([event.task_id for event in events])
    row.versions.extend([event.version for event in events])
    row.texts.extend(texts.table)


def decode_events(row: command_pb2.EventRows, sharing: Sharing) -> list[EventRef]:
    """Return the references in `row`; ValueError or LookupError when it has others."""
    return records(
        EventRef,
        revision=sharing.column(row.revisions[:]),
        project_id=at_places(text_table(row.texts[:]), row.projects[:]),
        task_id=sharing.column(row.task_ids[:]),
        version=row.versions[:],
    )
