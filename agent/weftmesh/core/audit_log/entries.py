"""The records of the audit log, and their form: JSON objects, so that whoever is given some can read and check them.

    {"v":1,"seq":7,"durable":6,"time_us":1700000000000000,"prev":"…64 hexadecimal digits…","kind":"call","actor":…}

`prev` is the SHA-256 of the line before, as it stands; `kind` says which record it is. The rule of the chain is
`core.hash_chain`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate
from json.encoder import encode_basestring as _quoted
from typing import Any, Final

from weftmesh.core.hash_chain import BREAK_WHY_BYTES_MAX, SHA256_BYTES, Break, Head, Pruned, Record
from weftmesh.core.records import record

FORMAT: Final = 1
TEXT_CHARACTERS_MAX: Final = 300
"""Of one text in a record; what is longer ends in an ellipsis."""
FIELDS_MAX: Final = 100
FIELD_CHARACTERS_MAX: Final = 1_000
"""Of the names of all fields together: a caller may make up as many as a request holds."""


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
    """The bytes that are hashed and stored. Put together by hand: `json.dumps` takes three times as long."""
    content = row.content
    if isinstance(content, Entry):
        body = _entry_text(content)
    elif isinstance(content, Lost):
        body = f'"kind":"lost","count":{content.count},"why":{_text_of(content.why)}'
    elif isinstance(content, Break):
        why = content.why.encode()[:BREAK_WHY_BYTES_MAX].decode(errors="ignore")
        body = f'"kind":"break","why":{_quoted(why)}'
    else:
        upto = content.upto
        body = f'"kind":"pruned","upto":{upto.sequence},"upto_hash":"{upto.hash.hex()}","why":{_text_of(content.why)}'
    text = (
        f'{{"v":{FORMAT},"seq":{row.sequence},"durable":{row.durable_sequence},"time_us":{row.time_us},'
        f'"prev":"{row.previous.hex()}",{body}}}'
    )
    return text.encode(errors="replace")


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


def _entry_text(entry: Entry) -> str:
    text = (
        f'"kind":"call","actor":{_text_of(entry.actor)},"from":{_text_of(entry.origin)},'
        f'"method":{_text_of(entry.method)},"outcome":"{entry.outcome.value}"'
    )
    if entry.project:
        text += f',"project":{_text_of(entry.project)}'
    if entry.target:
        text += f',"target":{_text_of(entry.target)}'
    if entry.request_id:
        text += f',"request_id":{_text_of(entry.request_id)}'
    if entry.reason:
        text += f',"reason":{_text_of(entry.reason)}'
    if entry.basis:
        text += f',"basis":{_text_of(entry.basis)}'
    if entry.fields:
        text += f',"fields":[{",".join(map(_text_of, _bounded(entry.fields)))}]'
    if entry.repeats:
        text += f',"repeats":{entry.repeats}'
    return text


def _bounded(fields: Sequence[str]) -> Sequence[str]:
    """As many of the first as there is room for."""
    fields = fields[:FIELDS_MAX]
    if sum(map(len, fields)) <= FIELD_CHARACTERS_MAX:
        return fields
    ends = accumulate(min(len(one), TEXT_CHARACTERS_MAX) for one in fields)
    return [one for one, end in zip(fields, ends, strict=True) if end <= FIELD_CHARACTERS_MAX]


def _text_of(text: str) -> str:
    """A text as JSON has it, cut where it is long."""
    return _quoted(text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…")


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
