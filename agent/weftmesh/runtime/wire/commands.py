"""Commands as they stand in the log. Decoding runs on every node for every write: keep it quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError

from weftmesh.board.v1.command_pb2 import BoardCommand
from weftmesh.core.board import commands as core
from weftmesh.core.board.model import MergePolicy
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire.values import decode_entries, encode_entries

REQUEST_ID_BYTES: Final = 16

_POLICIES: Final = {int(policy): policy for policy in MergePolicy}


def encode_command(command: core.Command) -> BoardCommand:
    """Return `command` as a message; equal commands make equal bytes.

    Raises:
        InvalidInputError: a number or a text that the format cannot carry.
    """
    header = command.header
    message = BoardCommand()
    try:
        message.request_id = header.request_id
        message.request_digest = header.request_digest
        message.actor = header.actor
        message.stamp = header.stamp
        _ENCODERS[type(command)](command, message)
    except ValueError as error:
        raise InvalidInputError(
            f"{type(command).__name__} cannot be written down: {error}; correct the value"
        ) from error
    return message


def decode_command(message: BoardCommand) -> core.Command:
    """Return the command that `message` holds.

    Raises:
        InvalidInputError: this version cannot read it: no known kind, a value of no known kind, a malformed request id.
    """
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidInputError("a board command is of no kind this version knows; upgrade this node")
    request_id = message.request_id
    if len(request_id) not in (0, REQUEST_ID_BYTES):
        raise InvalidInputError(
            f"a {kind} command has a request id of {len(request_id)} bytes; it has {REQUEST_ID_BYTES} or none"
        )
    header = core.Header(message.actor, message.stamp, request_id, message.request_digest)
    return _DECODERS[kind](header, getattr(message, kind))


def command_to_bytes(command: core.Command) -> bytes:
    """Return `encode_command(command)`, serialized."""
    return encode_command(command).SerializeToString(deterministic=True)


def command_from_bytes(data: bytes) -> core.Command:
    """Return the command in `data`.

    Raises:
        InvalidInputError: `data` is not a command, or one that this version cannot read.
    """
    try:
        message = BoardCommand.FromString(data)
    except DecodeError as error:
        raise InvalidInputError(f"{len(data)} bytes that should be a board command are not one: {error}") from error
    return decode_command(message)


def _encode_create_project(command: core.CreateProject, message: BoardCommand) -> None:
    body = message.create_project
    body.project_id = command.project_id
    body.title = command.title
    body.home = command.home
    body.merge_policy = command.merge_policy


def _decode_create_project(header: core.Header, body: Any) -> core.Command:
    return core.CreateProject(header, body.project_id, body.title, body.home, _policy(body.merge_policy))


def _encode_update_project(command: core.UpdateProject, message: BoardCommand) -> None:
    body = message.update_project
    body.project_id = command.project_id
    if command.title is not None:
        body.title = command.title
    if command.merge_policy is not None:
        body.merge_policy = command.merge_policy
    body.version = command.version


def _decode_update_project(header: core.Header, body: Any) -> core.Command:
    title = body.title if body.HasField("title") else None
    policy = _policy(body.merge_policy) if body.HasField("merge_policy") else None
    return core.UpdateProject(header, body.project_id, title, policy, body.version)


def _encode_delete_project(command: core.DeleteProject, message: BoardCommand) -> None:
    message.delete_project.project_id = command.project_id
    message.delete_project.version = command.version


def _decode_delete_project(header: core.Header, body: Any) -> core.Command:
    return core.DeleteProject(header, body.project_id, body.version)


def _encode_undelete_project(command: core.UndeleteProject, message: BoardCommand) -> None:
    message.undelete_project.project_id = command.project_id


def _decode_undelete_project(header: core.Header, body: Any) -> core.Command:
    return core.UndeleteProject(header, body.project_id)


def _encode_create_task(command: core.CreateTask, message: BoardCommand) -> None:
    body = message.create_task
    body.project_id = command.project_id
    body.task_id = command.task_id
    encode_entries(command.fields, body.fields)
    body.origin = command.origin
    body.number_hint = command.number_hint


def _decode_create_task(header: core.Header, body: Any) -> core.Command:
    return core.CreateTask(
        header, body.project_id, body.task_id, decode_entries(body.fields), body.origin, body.number_hint
    )


def _encode_update_task(command: core.UpdateTask, message: BoardCommand) -> None:
    body = message.update_task
    body.task_id = command.task_id
    encode_entries(command.changes, body.changes)
    encode_entries(command.base, body.base)
    body.version = command.version
    body.queued = command.queued


def _decode_update_task(header: core.Header, body: Any) -> core.Command:
    return core.UpdateTask(
        header, body.task_id, decode_entries(body.changes), decode_entries(body.base), body.version, body.queued
    )


def _encode_claim_task(command: core.ClaimTask, message: BoardCommand) -> None:
    message.claim_task.task_id = command.task_id
    message.claim_task.assignee = command.assignee


def _decode_claim_task(header: core.Header, body: Any) -> core.Command:
    return core.ClaimTask(header, body.task_id, body.assignee)


def _encode_revert_task(command: core.RevertTask, message: BoardCommand) -> None:
    body = message.revert_task
    body.task_id = command.task_id
    body.to_version = command.to_version
    body.version = command.version


def _decode_revert_task(header: core.Header, body: Any) -> core.Command:
    return core.RevertTask(header, body.task_id, body.to_version, body.version)


def _encode_delete_task(command: core.DeleteTask, message: BoardCommand) -> None:
    message.delete_task.task_id = command.task_id
    message.delete_task.version = command.version


def _decode_delete_task(header: core.Header, body: Any) -> core.Command:
    return core.DeleteTask(header, body.task_id, body.version)


def _encode_undelete_task(command: core.UndeleteTask, message: BoardCommand) -> None:
    message.undelete_task.task_id = command.task_id


def _decode_undelete_task(header: core.Header, body: Any) -> core.Command:
    return core.UndeleteTask(header, body.task_id)


def _encode_resolve_conflict(command: core.ResolveConflict, message: BoardCommand) -> None:
    body = message.resolve_conflict
    body.task_id = command.task_id
    body.conflict_number = command.conflict_number
    body.take_yours.extend(sorted(command.take_yours))


def _decode_resolve_conflict(header: core.Header, body: Any) -> core.Command:
    return core.ResolveConflict(header, body.task_id, body.conflict_number, frozenset(body.take_yours))


def _policy(number: int) -> MergePolicy:
    policy = _POLICIES.get(number)
    if policy is None:
        raise InvalidInputError(f"merge policy {number} is not one this version knows; known: {sorted(_POLICIES)}")
    return policy


# Each body's type is fixed by its key; one dictionary cannot say so to the type checker.
_ENCODERS: Final[Mapping[type[core.Command], Callable[[Any, BoardCommand], None]]] = {
    core.CreateProject: _encode_create_project,
    core.UpdateProject: _encode_update_project,
    core.DeleteProject: _encode_delete_project,
    core.UndeleteProject: _encode_undelete_project,
    core.CreateTask: _encode_create_task,
    core.UpdateTask: _encode_update_task,
    core.ClaimTask: _encode_claim_task,
    core.RevertTask: _encode_revert_task,
    core.DeleteTask: _encode_delete_task,
    core.UndeleteTask: _encode_undelete_task,
    core.ResolveConflict: _encode_resolve_conflict,
}

_DECODERS: Final[Mapping[str, Callable[[core.Header, Any], core.Command]]] = {
    "create_project": _decode_create_project,
    "update_project": _decode_update_project,
    "delete_project": _decode_delete_project,
    "undelete_project": _decode_undelete_project,
    "create_task": _decode_create_task,
    "update_task": _decode_update_task,
    "claim_task": _decode_claim_task,
    "revert_task": _decode_revert_task,
    "delete_task": _decode_delete_task,
    "undelete_task": _decode_undelete_task,
    "resolve_conflict": _decode_resolve_conflict,
}
