"""What happened to a task or a project, as rows: changes, and the conflicts they left. None is an absent value."""

from __future__ import annotations

from typing import Final

from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.compact import shared_text
from weftmesh.core.board.model import Change, Collision, Conflict, FieldChange, FieldValue, Verb
from weftmesh.runtime.wire.values import decode_value, encode_value

_VERBS: Final = {int(verb): verb for verb in Verb}


def encode_change(change: Change, row: command_pb2.ChangeRow) -> None:
    """Fill an empty `row` with one history entry."""
    row.version = change.version
    row.revision = change.revision
    row.verb = change.verb
    row.actor = change.actor
    row.stamp = change.stamp
    row.request_id = change.request_id
    for field in change.fields:
        _encode_field_change(field, row.fields.add())
    if change.conflict is not None:
        encode_conflict(change.conflict, row.conflict)


def decode_change(row: command_pb2.ChangeRow) -> Change:
    """Return the history entry in `row`; ValueError or InvalidInputError when it is not one."""
    verb = _VERBS.get(row.verb)
    if verb is None:
        raise ValueError(f"{row.verb} is not a verb of the history")
    return Change(
        version=row.version,
        revision=row.revision,
        verb=verb,
        actor=shared_text(row.actor),
        stamp=row.stamp,
        request_id=row.request_id,
        fields=tuple([_decode_field_change(field) for field in row.fields]),
        conflict=decode_conflict(row.conflict) if row.HasField("conflict") else None,
    )


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
        base=_optional(path, row.base) if row.HasField("base") else None,
        yours=_optional(path, row.yours) if row.HasField("yours") else None,
        theirs=_optional(path, row.theirs) if row.HasField("theirs") else None,
        theirs_actor=shared_text(row.theirs_actor),
    )


def _encode_field_change(field: FieldChange, row: command_pb2.FieldChangeRow) -> None:
    row.path = field.path
    row.loser_actor = field.loser_actor
    if field.before is not None:
        encode_value(field.before, row.before)
    if field.after is not None:
        encode_value(field.after, row.after)
    if field.loser is not None:
        encode_value(field.loser, row.loser)


def _decode_field_change(row: command_pb2.FieldChangeRow) -> FieldChange:
    path = shared_text(row.path)
    return FieldChange(
        path=path,
        before=_optional(path, row.before) if row.HasField("before") else None,
        after=_optional(path, row.after) if row.HasField("after") else None,
        loser=_optional(path, row.loser) if row.HasField("loser") else None,
        loser_actor=shared_text(row.loser_actor),
    )


def _optional(path: str, message: command_pb2.FieldValue) -> FieldValue:
    value = decode_value(path, message)
    return shared_text(value) if isinstance(value, str) else value
