"""What a call comes to in an audit record: names of things and of fields, never the text of a task.

Runs in the thread that writes: it takes longer than a call can spare.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from cryptography import x509
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from weftmesh.access.v1 import access_pb2
from weftmesh.agent.access.journal import Note
from weftmesh.core.access.roles import Role
from weftmesh.core.audit_log.entries import Entry, Outcome
from weftmesh.core.errors import ForbiddenError, UnauthenticatedError, WeftmeshError
from weftmesh.core.ids import split_key

CERTIFICATES_MAX: Final = 256
FIELD_SETS_MAX: Final = 1_024
_NOT_CHANGED: Final = frozenset(
    {"name", "parent", "request_id", "validate_only", "update_mask", "etag", "base", "queued", "project_id", "task_id"}
)
_MADE: Final = "task_id"
"""Of a task to be made: its caller has chosen its id."""
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


@cache
def method_name(method: str) -> str:
    """A method without its package: BoardService/UpdateTask."""
    service, _, name = method.strip("/").rpartition("/")
    return f"{service.rpartition('.')[2]}/{name}"


def target_of(request: Any, response: Any = None) -> str:
    """The name of what a call is about; empty where it names nothing."""
    for message in (response, request):
        if not isinstance(message, Message):
            continue
        shape = _shape(message.DESCRIPTOR)
        for part in (message, getattr(message, shape.resource)) if shape.resource else (message,):
            for name in _shape(part.DESCRIPTOR).names:
                if value := getattr(part, name):
                    made = getattr(message, _MADE, None) if name == "parent" else None
                    return f"{value}/tasks/{made}" if made else str(value)
        change = _change(message, shape)
        if change is not None and isinstance(getattr(change, "subject", None), str):
            return str(change.subject)
    return ""


def fields_of(request: Any) -> tuple[str, ...]:
    """The names of the fields that a request sets."""
    if not isinstance(request, Message):
        return ()
    shape = _shape(request.DESCRIPTOR)
    change = _change(request, shape)
    if change is not None:
        kind = request.WhichOneof("change") or ""
        role = getattr(change, "role", None)
        return (kind,) if role is None else (kind, _role_word(role))
    if shape.has_mask and (paths := request.update_mask.paths):  # type: ignore[attr-defined]  # it has one
        return tuple(sorted(paths))
    resource = getattr(request, shape.resource) if shape.resource else request
    return _changed(tuple([field for field, _ in resource.ListFields()]))


@lru_cache(maxsize=FIELD_SETS_MAX)
def _changed(fields: tuple[FieldDescriptor, ...]) -> tuple[str, ...]:
    """The names of these fields that say something is changed; most writes set the same ones."""
    return tuple(sorted({field.name for field in fields} - _NOT_CHANGED))


class _Shape(NamedTuple):
    """What a kind of message has, looked up once."""

    names: tuple[str, ...]
    """Fields that may hold the name of what it is about."""
    resource: str
    """The field with the task or the project; empty for none."""
    has_mask: bool
    has_change: bool
    projects: tuple[str, ...]
    """Fields that may hold a project's id."""


@cache
def _shape(descriptor: Descriptor) -> _Shape:
    texts = {field.name for field in descriptor.fields if field.type == field.TYPE_STRING and not field.is_repeated}
    parts = {field.name for field in descriptor.fields if field.message_type is not None and not field.is_repeated}
    return _Shape(
        names=tuple(name for name in _NAMES if name in texts),
        resource=next((name for name in ("task", "project") if name in parts), ""),
        has_mask="update_mask" in parts,
        has_change="change" in descriptor.oneofs_by_name,
        projects=tuple(name for name in ("project_id", "project") if name in texts),
    )


def _role_word(number: int) -> str:
    known = {int(one): one.name.lower() for one in Role}
    return f"role={known.get(number, number)}"


def _change(message: Message, shape: _Shape) -> Any:
    """The case of a oneof called `change`; None where there is none."""
    kind = message.WhichOneof("change") if shape.has_change else None
    return None if kind is None else getattr(message, kind)


def _project(request: Any, target: str) -> str:
    match target.split("/"):
        case ["projects", project, *_]:
            return project
        case ["tasks", key] if parts := split_key(key):
            return parts[0]
    if not isinstance(request, Message):
        return ""
    change = _change(request, _shape(request.DESCRIPTOR))
    for part in (request, change) if change is not None else (request,):
        for name in _shape(part.DESCRIPTOR).projects:
            if value := getattr(part, name):
                return str(value)
    return ""


def _outcome(note: Note) -> tuple[Outcome, str]:
    error = note.error
    if error is None:
        return Outcome.DONE, ""
    reason = error.reason if isinstance(error, WeftmeshError) else type(error).__name__
    denied = note.decision is None or isinstance(error, ForbiddenError | UnauthenticatedError)
    return Outcome.DENIED if denied else Outcome.FAILED, reason


@cache
def _basis(basis: access_pb2.Basis) -> str:
    return access_pb2.Basis.Name(basis).removeprefix("BASIS_").lower()


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
