"""What happened to tasks and projects, as rows: changes by column, and the conflicts they left. None is no value."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import islice
from typing import Final

from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.compact import shared_set, shared_text
from weftmesh.core.board.model import Change, Collision, Conflict, FieldChange, FieldValue, Priority, Status, Verb
from weftmesh.runtime.wire.columns import (
    Places,
    Sharing,
    at_places,
    characters_in,
    exactly,
    from_exactly,
    records,
    text_table,
)
from weftmesh.runtime.wire.values import decode_value, encode_value

_VERBS: Final = {int(verb): verb for verb in Verb}
_ENUMS: Final[dict[str, dict[FieldValue, FieldValue]]] = {
    "status": {int(status): status for status in Status},
    "priority": {int(priority): priority for priority in Priority},
}


def encode_changes(changes: Sequence[Change], row: command_pb2.ChangeRows) -> None:
    """Fill an empty `row` with `changes`."""
    texts = Places("")
    row.versions.extend([change.version for change in changes])
    row.revisions.extend([change.revision for change in changes])
    row.verbs.extend([change.verb for change in changes])
    row.actors.extend(texts.of([change.actor for change in changes]))
    row.stamps.extend([change.stamp for change in changes])
    row.request_ids.extend([change.request_id for change in changes])
    row.field_counts.extend([len(change.fields) for change in changes])
    _encode_fields([field for change in changes for field in change.fields], texts, row)
    row.texts.extend(texts.table)
    for place, change in enumerate(changes):
        if change.conflict is not None:
            encode_conflict(change.conflict, row.conflicts.add(change=place).conflict)


def _encode_fields(fields: Sequence[FieldChange], texts: Places[str], row: command_pb2.ChangeRows) -> None:
    values: Places[Hashable] = Places(None)
    row.paths.extend(texts.of([field.path for field in fields]))
    row.befores.extend(values.of([exactly(field.before) for field in fields]))
    row.afters.extend(values.of([exactly(field.after) for field in fields]))
    row.losers.extend(values.of([exactly(field.loser) for field in fields]))
    row.loser_actors.extend(texts.of([field.loser_actor for field in fields]))
    for key in values.table:
        encode_value(from_exactly(key), row.values.add())


def change_characters(change: Change) -> int:
    """How much text a change brings into a row."""
    values = [value for field in change.fields for value in (field.before, field.after, field.loser)]
    if change.conflict is not None:
        values += [value for one in change.conflict.fields for value in (one.base, one.yours, one.theirs)]
    return sum(map(characters_in, values))


class Histories:
    """Changes that were read, until their tasks and projects take them."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._waiting: list[Change] = []

    def add(self, row: command_pb2.ChangeRows) -> None:
        """Read a row; ValueError, InvalidInputError or LookupError when it is not one."""
        self._waiting += _decode_changes(row, self._sharing)

    def take(self, counts: Iterable[int]) -> list[tuple[Change, ...]]:
        """The next histories, of so many changes each; ValueError when one is empty or there are too few changes."""
        changes = iter(self._waiting)
        histories = [tuple(islice(changes, count)) for count in counts]
        if not all(histories):
            raise ValueError("a task or project of it has no history")
        self._waiting = list(changes)
        return histories

    def check_taken(self) -> None:
        """Raises ValueError when nobody has taken some changes."""
        if self._waiting:
            raise ValueError(f"{len(self._waiting)} changes belong to no task and no project")


def _decode_changes(row: command_pb2.ChangeRows, sharing: Sharing) -> list[Change]:
    texts = text_table(row.texts[:])
    conflicts: list[Conflict | None] = [None] * len(row.versions)
    for item in row.conflicts:
        conflicts[item.change] = decode_conflict(item.conflict)
    return records(
        Change,
        version=row.versions[:],
        revision=sharing.column(row.revisions[:]),
        verb=[_VERBS[verb] for verb in row.verbs[:]],
        actor=at_places(texts, row.actors[:]),
        stamp=sharing.column(row.stamps[:]),
        request_id=sharing.column(row.request_ids[:]),
        fields=_decode_fields(row, texts),
        conflict=conflicts,
    )


def _decode_fields(row: command_pb2.ChangeRows, texts: Sequence[str]) -> list[tuple[FieldChange, ...]]:
    counts = row.field_counts[:]
    values: list[FieldValue] = [None, *[_shared(decode_value("", value)) for value in row.values]]
    paths = at_places(texts, row.paths[:])
    fields = records(
        FieldChange,
        path=paths,
        before=_as_enums(paths, at_places(values, row.befores[:])),
        after=_as_enums(paths, at_places(values, row.afters[:])),
        loser=_as_enums(paths, at_places(values, row.losers[:])),
        loser_actor=at_places(texts, row.loser_actors[:]),
    )
    if len(fields) != sum(counts):
        raise ValueError(f"{len(fields)} fields belong to changes of {sum(counts)}")
    left = iter(fields)
    return [tuple(islice(left, count)) if count else () for count in counts]


def _as_enums(paths: Sequence[str], values: list[FieldValue]) -> list[FieldValue]:
    """`values` with numbers of `status` and `priority` as their enums where they are known."""
    for place, (path, value) in enumerate(zip(paths, values, strict=False)):
        known = _ENUMS.get(path)
        if known is not None and isinstance(value, int):
            values[place] = known.get(value, value)
    return values


def encode_conflict(conflict: Conflict, row: command_pb2.ConflictRow) -> None:
    """Fill an empty `row` with a conflict."""
    row.number = conflict.number
    row.actor = conflict.actor
    row.stamp = conflict.stamp
    for collision in conflict.fields:
        encode_collision(collision, row.fields.add())


def decode_conflict(row: command_pb2.ConflictRow) -> Conflict:
    """Return the conflict in `row`; InvalidInputError when a value is of no known kind."""
    fields = tuple([decode_collision(field) for field in row.fields])
    return Conflict(row.number, shared_text(row.actor), row.stamp, fields)


def encode_collision(collision: Collision, row: command_pb2.CollisionRow) -> None:
    """Fill an empty `row` with a collision."""
    row.path = collision.path
    row.theirs_actor = collision.theirs_actor
    if collision.base is not None:
        encode_value(collision.base, row.base)
    if collision.yours is not None:
        encode_value(collision.yours, row.yours)
    if collision.theirs is not None:
        encode_value(collision.theirs, row.theirs)


def decode_collision(row: command_pb2.CollisionRow) -> Collision:
    """Return the collision in `row`; InvalidInputError when a value is of no known kind."""
    path = shared_text(row.path)
    return Collision(
        path=path,
        base=_shared(decode_value(path, row.base)) if row.HasField("base") else None,
        yours=_shared(decode_value(path, row.yours)) if row.HasField("yours") else None,
        theirs=_shared(decode_value(path, row.theirs)) if row.HasField("theirs") else None,
        theirs_actor=shared_text(row.theirs_actor),
    )


def _shared(value: FieldValue) -> FieldValue:
    if isinstance(value, str):
        return shared_text(value)
    return shared_set(value) if isinstance(value, frozenset) else value
