"""What a call comes to in an audit record: names of things and of fields, never the text of a task.

Runs in the thread that writes: it takes longer than a call can spare.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from google.protobuf.message import Message

from weftmesh.access.v1 import access_pb2
from weftmesh.agent.access.journal import Note
from weftmesh.board.v1 import board_pb2
from weftmesh.core.access.roles import Role
from weftmesh.core.audit_log.entries import Entry, Outcome
from weftmesh.core.errors import ForbiddenError, UnauthenticatedError, WeftmeshError
from weftmesh.core.ids import split_key

CERTIFICATES_MAX: Final = 256
_NOT_CHANGED: Final = frozenset(
    {"name", "parent", "request_id", "validate_only", "update_mask", "etag", "base", "queued", "project_id", "task_id"}
)
_NAMES: Final = ("name", "token_id", "subject", "parent", "node", "node_name")


def entry_of(note: Note, repeats: int = 0) -> Entry:
    """The record of a call."""
    request, error = note.request, note.error
    outcome, reason = _outcome(note)
    target = target_of(request, note.response)
    return Entry(
        actor=note.caller.actor,
        origin=_origin(note),
        method=method_name(note.method),
        project=_project(request, target),
        target=target,
        fields=fields_of(request),
        request_id=str(getattr(request, "request_id", "") or ""),
        outcome=outcome,
        reason=reason,
        basis="" if note.decision is None or error is not None else _basis(note.decision.basis),
        repeats=repeats,
    )


def method_name(method: str) -> str:
    """A method without its package: BoardService/UpdateTask."""
    service, _, name = method.strip("/").rpartition("/")
    return f"{service.rpartition('.')[2]}/{name}"


def target_of(request: Any, response: Any = None) -> str:
    """The name of what a call is about; empty where it names nothing."""
    for message in (response, request):
        if not isinstance(message, Message):
            continue
        if isinstance(message, board_pb2.CreateTaskRequest) and message.task_id:
            return f"{message.parent}/tasks/{message.task_id}"
        for part in (message, *(_part(message, one) for one in ("task", "project"))):
            for name in _NAMES:
                value = getattr(part, name, "") if part is not None else ""
                if isinstance(value, str) and value:
                    return value
        change = _change(message)
        if change is not None and isinstance(getattr(change, "subject", None), str):
            return str(change.subject)
    return ""


def fields_of(request: Any) -> tuple[str, ...]:
    """The names of the fields that a request sets."""
    if not isinstance(request, Message):
        return ()
    change = _change(request)
    if change is not None:
        kind = request.WhichOneof("change") or ""
        role = getattr(change, "role", None)
        return (kind,) if role is None else (kind, _role_word(role))
    mask = getattr(request, "update_mask", None)
    if mask is not None and mask.paths:
        return tuple(sorted(mask.paths))
    resource = _part(request, "task") or _part(request, "project")
    names = {field.name for field, _ in (resource or request).ListFields()}
    return tuple(sorted(names - _NOT_CHANGED))


def _role_word(number: int) -> str:
    known = {int(one): one.name.lower() for one in Role}
    return f"role={known.get(number, number)}"


def _part(message: Message, name: str) -> Any:
    """A part of a message that is a message and is there."""
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None or field.message_type is None or not message.HasField(name):
        return None
    return getattr(message, name)


def _change(message: Message) -> Any:
    """The case of a oneof called `change`; None where there is none."""
    if "change" not in message.DESCRIPTOR.oneofs_by_name:
        return None
    kind = message.WhichOneof("change")
    return None if kind is None else getattr(message, kind)


def _project(request: Any, target: str) -> str:
    for part in (request, _change(request) if isinstance(request, Message) else None):
        for name in ("project_id", "project"):
            value = getattr(part, name, "")
            if isinstance(value, str) and value:
                return value
    match target.split("/"):
        case ["projects", project, *_]:
            return project
        case ["tasks", key] if parts := split_key(key):
            return parts[0]
    return ""


def _outcome(note: Note) -> tuple[Outcome, str]:
    error = note.error
    if error is None:
        return Outcome.DONE, ""
    reason = error.reason if isinstance(error, WeftmeshError) else type(error).__name__
    denied = note.decision is None or isinstance(error, ForbiddenError | UnauthenticatedError)
    return Outcome.DENIED if denied else Outcome.FAILED, reason


def _basis(number: int) -> str:
    return access_pb2.Basis.Name(number).removeprefix("BASIS_").lower()


def _origin(note: Note) -> str:
    caller = note.caller
    if caller.uid >= 0:
        return f"uid={caller.uid} pid={caller.pid}"
    return _certificate(note.certificate) if note.certificate else "network"


@lru_cache(maxsize=CERTIFICATES_MAX)
def _certificate(pem: bytes) -> str:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return "certificate that cannot be read"
    return f"certificate {certificate.subject.rfc4514_string()} serial={certificate.serial_number:x}"
