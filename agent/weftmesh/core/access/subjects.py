"""Whom a role may be given to, in one line of text each.

    user:ann          the Unix user ann, on every node
    user:ann@node1    the Unix user ann on node1
    group:ops         whoever is in the Unix group ops, on every node
    group:ops@node1   whoever is in the Unix group ops on node1
    node:node2        the node whose certificate says node2, on the mesh port

A node's name is a DNS label, so that what follows the last @ is a node only if it can be one: `user:ann@example.org` is
a user of a directory, on every node.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.records import record

_NODE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$\\ -]{0,127}")
SUBJECT_CHARACTERS_MAX: Final = 200


class SubjectKind(StrEnum):
    """What a subject is."""

    USER = "user"
    GROUP = "group"
    NODE = "node"


@record(frozen=True, slots=True)
class Subject:
    """A subject; `str` is its line, and what stands in bindings."""

    kind: SubjectKind
    name: str
    node: str = ""
    """Of a user or group: on this node alone; empty for every node."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}@{self.node}" if self.node else f"{self.kind}:{self.name}"


def parse_subject(text: str) -> Subject:
    """The subject that a line names.

    Raises:
        InvalidInputError: it names none.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in list(SubjectKind) or len(text) > SUBJECT_CHARACTERS_MAX:
        raise InvalidInputError(
            f"{text[:80]!r} is no subject; write user:NAME, user:NAME@NODE, group:NAME, group:NAME@NODE or node:NAME"
        )
    if kind == SubjectKind.NODE:
        if _NODE.fullmatch(rest) is None:
            raise InvalidInputError(f"{rest[:80]!r} can be no node's name; see `weftmesh members`")
        return Subject(SubjectKind.NODE, rest)
    name, at, node = rest.rpartition("@")
    if not at or _NODE.fullmatch(node) is None:
        name, node = rest, ""
    if _ACCOUNT.fullmatch(name) is None:
        raise InvalidInputError(f"{name[:80]!r} can be no {kind}'s name; write it as `id` or `getent {kind}` shows it")
    return Subject(SubjectKind(kind), name, node)


def account_subjects(kind: SubjectKind, name: str, node: str) -> tuple[str, ...]:
    """The lines that mean an account of a node: there alone, and everywhere.

    An account called ann@corp has only the first: the other one would be the line of ann on a node called corp.
    """
    here, everywhere = str(Subject(kind, name, node)), str(Subject(kind, name))
    _, at, last = name.rpartition("@")
    return (here,) if at and _NODE.fullmatch(last) else (here, everywhere)
