"""The records of the audit log, and their form: JSON objects, so that whoever is given some can read and check them.

    {"v":1,"seq":7,"durable":6,"time_us":1700000000000000,"prev":"…64 hexadecimal digits…","kind":"call","actor":…}

`prev` is the SHA-256 of the line before, as it stands; `kind` says which record it is. The rule of the chain is
`core.hash_chain`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from weftmesh.core.hash_chain import BREAK_WHY_BYTES_MAX, SHA256_BYTES, Break, Head, Pruned, Record
from weftmesh.core.records import record

FORMAT: Final = 1
TEXT_CHARACTERS_MAX: Final = 300
"""Of one text in a record; what is longer ends in an ellipsis."""
FIELDS_MAX: Final = 100
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Outcome(StrEnum):
    """What came of it."""

    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"
    """It was allowed, and did not come about."""


@record(frozen=True, slots=True)
class Entry:
    """Somebody did or tried something, or the replicated log changed who may.

    Attributes:
        actor: such as ann@node1 or node:node2.
        origin: the local uid and pid, or the certificate's subject and serial number, or `log`.
        method: such as BoardService/UpdateTask; of what came through the log, such as access.granted.
        project: its id; empty for the mesh, or where it is not known.
        target: the resource's name.
        fields: the names of what was changed, never what it was changed to; of roles, what they are.
        request_id: as the caller gave it.
        outcome: what came of it.
        reason: why it was not done, a word for programs; empty if it was.
        basis: why it was allowed: open, binding, break_glass, service_account, member.
        repeats: how many more of the same were refused since the last record of it.
    """

    actor: str
    origin: str
    method: str
    project: str = ""
    target: str = ""
    fields: tuple[str, ...] = ()
    request_id: str = ""
    outcome: Outcome = Outcome.DONE
    reason: str = ""
    basis: str = ""
    repeats: int = 0


@record(frozen=True, slots=True)
class Lost:
    """So many records could not be written, and why."""

    count: int
    why: str


Content = Entry | Lost
AuditRecord = Record[Content]


def pack(row: AuditRecord) -> bytes:
    """The bytes that are hashed and stored."""
    fields: dict[str, object] = {
        "v": FORMAT,
        "seq": row.sequence,
        "durable": row.durable_sequence,
        "time_us": row.time_us,
        "prev": row.previous.hex(),
    }
    content = row.content
    if isinstance(content, Entry):
        fields |= _entry_fields(content)
    elif isinstance(content, Lost):
        fields |= {"kind": "lost", "count": content.count, "why": _cut(content.why)}
    elif isinstance(content, Break):
        fields |= {"kind": "break", "why": content.why.encode()[:BREAK_WHY_BYTES_MAX].decode(errors="ignore")}
    else:
        fields |= {
            "kind": "pruned",
            "upto": content.upto.sequence,
            "upto_hash": content.upto.hash.hex(),
            "why": _cut(content.why),
        }
    return _ENCODER.encode(fields).encode(errors="replace")


def unpack(payload: bytes) -> AuditRecord:
    """The inverse of `pack`, but for what was cut.

    Raises:
        ValueError: this is no record that this version can read; the message says why.
    """
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("v") != FORMAT:
        raise ValueError(f"no record of format {FORMAT}")
    reader = _READERS.get(str(found.get("kind")))
    if reader is None:
        raise ValueError(f"a record of kind {str(found.get('kind'))[:40]}, which this version does not know")
    previous = _hash(found, "prev")
    return Record(_number(found, "seq"), _number(found, "durable"), _number(found, "time_us"), previous, reader(found))


class AuditCodec:
    """The log's codec; implements `hash_chain.Codec`."""

    pack = staticmethod(pack)
    unpack = staticmethod(unpack)


AUDIT_CODEC: Final = AuditCodec()


def _entry_fields(entry: Entry) -> dict[str, object]:
    fields: dict[str, object] = {
        "kind": "call",
        "actor": _cut(entry.actor),
        "from": _cut(entry.origin),
        "method": _cut(entry.method),
        "outcome": entry.outcome.value,
    }
    for name, value in (
        ("project", entry.project),
        ("target", entry.target),
        ("request_id", entry.request_id),
        ("reason", entry.reason),
        ("basis", entry.basis),
    ):
        if value:
            fields[name] = _cut(value)
    if entry.fields:
        fields["fields"] = [_cut(one) for one in entry.fields[:FIELDS_MAX]]
    if entry.repeats:
        fields["repeats"] = entry.repeats
    return fields


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…"


def _read_entry(found: Mapping[str, Any]) -> Entry:
    names = found.get("fields", [])
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise ValueError("fields: no list of texts")
    try:
        outcome = Outcome(_text(found, "outcome"))
    except ValueError:
        raise ValueError(f"outcome: {found.get('outcome')!r} is none that this version knows") from None
    return Entry(
        actor=_text(found, "actor"),
        origin=_text(found, "from"),
        method=_text(found, "method"),
        project=_text(found, "project", ""),
        target=_text(found, "target", ""),
        fields=tuple(names),
        request_id=_text(found, "request_id", ""),
        outcome=outcome,
        reason=_text(found, "reason", ""),
        basis=_text(found, "basis", ""),
        repeats=_number(found, "repeats", 0),
    )


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Content | Break | Pruned]]] = {
    "call": _read_entry,
    "lost": lambda found: Lost(_number(found, "count"), _text(found, "why")),
    "break": lambda found: Break(_text(found, "why")),
    "pruned": lambda found: Pruned(Head(_number(found, "upto"), _hash(found, "upto_hash")), _text(found, "why")),
}


def _text(found: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = found.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name}: no text")  # noqa: TRY004 - what is read is data, not an argument
    return value


def _number(found: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = found.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name}: no number")
    return value


def _hash(found: Mapping[str, Any], name: str) -> bytes:
    value = bytes.fromhex(_text(found, name))
    if len(value) != SHA256_BYTES:
        raise ValueError(f"{name}: no SHA-256")
    return value
