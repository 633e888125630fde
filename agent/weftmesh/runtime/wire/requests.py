"""From a write of the API to the command that goes to the log."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

from google.protobuf.message import Message

from weftmesh.board.v1 import board_pb2
from weftmesh.core.board import commands as core
from weftmesh.core.board.model import MergePolicy
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ids import (
    TaskRef,
    check_project_id,
    is_ulid,
    parse_conflict_name,
    parse_project_name,
    parse_task_name,
)
from weftmesh.core.records import record
from weftmesh.runtime.rpc_status import FIELD_KEY
from weftmesh.runtime.wire.commands import REQUEST_ID_BYTES
from weftmesh.runtime.wire.resources import parse_etag
from weftmesh.runtime.wire.task_fields import Resolve, base_values, field_values, written_paths

NOT_DIGESTED: Final = ("request_id", "validate_only", "queued")
"""What may differ between a request and its retry: a write that was queued offline says so when it is replayed."""

_PROJECT_PATHS: Final = ("title", "merge_policy")
_UUID_DIGITS: Final = 32
_NAMES_REMEMBERED: Final = 256
"""A write's name is asked for three times on its way, and a project's by every write to it."""
_SEEDS_REMEMBERED: Final = 1_024


def _no_keys(_: str) -> Iterable[str]:
    return ()


@record(frozen=True, slots=True)
class WriteContext:
    """Who writes, when, and what a request's words mean on this board."""

    actor: str
    """Such as ann@node1."""
    user: str
    """Who claims a task when the request names nobody, such as ann; the same on every node."""
    stamp: int
    """From this node's hybrid clock."""
    new_ulid: Callable[[], str]
    """For a task whose id the caller left to us."""
    resolve: Resolve
    custom_keys: Callable[[str], Iterable[str]] = _no_keys
    """The custom keys that the task of this id has: what a mask of `custom` replaces."""


def command_from_request(request: Message, context: WriteContext) -> core.Command:
    """Return the command that `request`, any of WriteRequest's oneof but a batch, asks for.

    Raises:
        InvalidInputError: a name, a mask, an enum, an etag or a request id is not one; the message says which.
        NotFoundError: a task that the request names does not exist.
    """
    build = _BUILDERS.get(type(request))
    if build is None:
        raise InvalidInputError(f"a {type(request).__name__} is not a single write; send one of WriteRequest.write")
    return build(request, _header(request, context), context)


def parse_request_id(text: str) -> bytes:
    """Return the 16 bytes of a request id; none when it is empty.

    Raises:
        InvalidInputError: it is not a UUID.
    """
    if not text:
        return b""
    digits = text.replace("-", "")
    try:
        if len(digits) == _UUID_DIGITS and len(plain := bytes.fromhex(digits)) == REQUEST_ID_BYTES:
            return plain  # what nearly everybody sends, at a quarter of the time
        return uuid.UUID(text).bytes
    except ValueError:
        raise InvalidInputError(
            f"request_id {text[:80]!r} is not a UUID; send one such as {uuid.UUID(int=0)}, or none",
            metadata={FIELD_KEY: "request_id"},
        ) from None


def request_digest(request: Message, user: str) -> int:
    """Return a CRC-32 of what `user` asks for: the same for a retry, on whatever node, and hardly for anything else."""
    asked = type(request)()
    asked.CopyFrom(request)
    full_name: str = asked.DESCRIPTOR.full_name
    for name in _UNDIGESTED[full_name]:
        asked.ClearField(name)
    return crc32(asked.SerializeToString(deterministic=True), _digest_seed(full_name, user))


@lru_cache(maxsize=_SEEDS_REMEMBERED)
def _digest_seed(full_name: str, user: str) -> int:
    return crc32(f"{full_name}\0{user}\0".encode())


@lru_cache(maxsize=_NAMES_REMEMBERED)
def project_in(name: str) -> str:
    """Return `parse_project_name`, quickly for the projects in use."""
    return parse_project_name(name)


@lru_cache(maxsize=_NAMES_REMEMBERED)
def task_in(name: str) -> TaskRef:
    """Return `parse_task_name`, quickly for a name that was just asked for."""
    return parse_task_name(name)


def _header(request: Any, context: WriteContext) -> core.Header:
    request_id = parse_request_id(request.request_id)
    digest = request_digest(request, context.user) if request_id else 0
    return core.Header(context.actor, context.stamp, request_id, digest)


def _create_project(
    request: board_pb2.CreateProjectRequest, header: core.Header, _: WriteContext
) -> core.CreateProject:
    project = request.project
    policy = _merge_policy(project.merge_policy) if project.merge_policy else MergePolicy.ASK
    return core.CreateProject(
        header, check_project_id(request.project_id), project.title, project.home or "mesh", policy
    )


def _update_project(
    request: board_pb2.UpdateProjectRequest, header: core.Header, _: WriteContext
) -> core.UpdateProject:
    project = request.project
    paths = list(request.update_mask.paths) or [path for path in _PROJECT_PATHS if getattr(project, path)]
    if "*" in paths:
        paths = list(_PROJECT_PATHS)
    for path in paths:
        if path not in _PROJECT_PATHS:
            raise InvalidInputError(
                f"update_mask: {path[:80]!r} cannot be written; name some of {', '.join(_PROJECT_PATHS)}",
                metadata={FIELD_KEY: "update_mask"},
            )
    return core.UpdateProject(
        header,
        parse_project_name(project.name),
        project.title if "title" in paths else None,
        _merge_policy(project.merge_policy) if "merge_policy" in paths else None,
        parse_etag(project.etag),
    )


def _merge_policy(number: int) -> MergePolicy:
    try:
        return MergePolicy(number)
    except ValueError:
        known = ", ".join(f"{int(policy)} ({policy.name.lower()})" for policy in MergePolicy)
        raise InvalidInputError(
            f"merge_policy: {number} is not one this version knows; send one of {known}",
            metadata={FIELD_KEY: "project.merge_policy"},
        ) from None


def _delete_project(
    request: board_pb2.DeleteProjectRequest, header: core.Header, _: WriteContext
) -> core.DeleteProject:
    return core.DeleteProject(header, parse_project_name(request.name), parse_etag(request.etag))


def _undelete_project(
    request: board_pb2.UndeleteProjectRequest, header: core.Header, _: WriteContext
) -> core.UndeleteProject:
    return core.UndeleteProject(header, parse_project_name(request.name))


def _create_task(request: board_pb2.CreateTaskRequest, header: core.Header, context: WriteContext) -> core.CreateTask:
    task_id = request.task_id or context.new_ulid()
    if not is_ulid(task_id):
        raise InvalidInputError(
            f"task_id {task_id[:80]!r} is not a ULID; send 26 characters, or none to let the node make one",
            metadata={FIELD_KEY: "task_id"},
        )
    task = request.task
    fields = field_values(task, written_paths(task, (), ()), context.resolve)
    # The board says what is wrong with an empty title; an absent one would be no field at all.
    fields.setdefault("title", task.title)
    return core.CreateTask(header, project_in(request.parent), task_id, fields, task.origin, request.number_hint)


def _update_task(request: board_pb2.UpdateTaskRequest, header: core.Header, context: WriteContext) -> core.UpdateTask:
    task, base = request.task, request.base
    task_id = _task_id(task.name, context)
    known_keys = base.custom if request.HasField("base") else context.custom_keys(task_id)
    paths = written_paths(task, request.update_mask.paths, known_keys)
    if not paths:
        raise InvalidInputError(
            "update_mask is empty and task sets no field; name the fields to change",
            metadata={FIELD_KEY: "update_mask"},
        )
    return core.UpdateTask(
        header,
        task_id,
        field_values(task, paths, context.resolve),
        base_values(base, paths, context.resolve) if request.HasField("base") else {},
        parse_etag(task.etag or base.etag),
        request.queued,
    )


def _claim_task(request: board_pb2.ClaimTaskRequest, header: core.Header, context: WriteContext) -> core.ClaimTask:
    return core.ClaimTask(header, _task_id(request.name, context), request.assignee or context.user)


def _revert_task(request: board_pb2.RevertTaskRequest, header: core.Header, context: WriteContext) -> core.RevertTask:
    if request.version < 1:
        raise InvalidInputError(
            f"version: {request.version} cannot be gone back to; send one that the task's history shows",
            metadata={FIELD_KEY: "version"},
        )
    return core.RevertTask(header, _task_id(request.name, context), request.version, parse_etag(request.etag))


def _delete_task(request: board_pb2.DeleteTaskRequest, header: core.Header, context: WriteContext) -> core.DeleteTask:
    return core.DeleteTask(header, _task_id(request.name, context), parse_etag(request.etag))


def _undelete_task(
    request: board_pb2.UndeleteTaskRequest, header: core.Header, context: WriteContext
) -> core.UndeleteTask:
    return core.UndeleteTask(header, _task_id(request.name, context))


def _resolve_conflict(
    request: board_pb2.ResolveConflictRequest, header: core.Header, context: WriteContext
) -> core.ResolveConflict:
    _, number = parse_conflict_name(request.name)
    task_id = _task_id(request.name.rpartition("/conflicts/")[0], context)
    return core.ResolveConflict(header, task_id, number, frozenset(request.take_yours))


def _task_id(name: str, context: WriteContext) -> str:
    task_in(name)
    return context.resolve(name)


# Each builder's request is fixed by its key; one dictionary cannot say so to the type checker.
_BUILDERS: Final[Mapping[type[Message], Callable[[Any, core.Header, WriteContext], core.Command]]] = {
    board_pb2.CreateProjectRequest: _create_project,
    board_pb2.UpdateProjectRequest: _update_project,
    board_pb2.DeleteProjectRequest: _delete_project,
    board_pb2.UndeleteProjectRequest: _undelete_project,
    board_pb2.CreateTaskRequest: _create_task,
    board_pb2.UpdateTaskRequest: _update_task,
    board_pb2.ClaimTaskRequest: _claim_task,
    board_pb2.RevertTaskRequest: _revert_task,
    board_pb2.DeleteTaskRequest: _delete_task,
    board_pb2.UndeleteTaskRequest: _undelete_task,
    board_pb2.ResolveConflictRequest: _resolve_conflict,
}

_UNDIGESTED: Final[Mapping[str, tuple[str, ...]]] = {
    kind.DESCRIPTOR.full_name: tuple(name for name in NOT_DIGESTED if name in kind.DESCRIPTOR.fields_by_name)
    for kind in _BUILDERS
}
"""By the full name of a request: those of its fields that its digest leaves out."""
