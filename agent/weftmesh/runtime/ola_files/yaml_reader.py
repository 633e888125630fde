"""Reads YAML into trees with marks, in bounded time and memory.

Only the event stream of PyYAML is used: nothing is constructed, no alias is expanded, no tag is looked up. What is
refused is what makes a file mean something else than it shows: aliases, tags, keys twice, scalars that versions of YAML
read differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import yaml

from weftmesh.runtime.ola_files.findings import START, Code, Finding, Findings, Mark, Source
from weftmesh.runtime.ola_files.nodes import Entry, ListNode, MapNode, Node, Scalar, ScalarNode
from weftmesh.runtime.ola_files.scalars import ambiguity, value_of
from weftmesh.runtime.ola_files.syntax import explain_syntax

FILE_BYTES_MAX: Final = 256 * 1024
DEPTH_MAX: Final = 16
NODES_MAX: Final = 20_000
_LOADER: Final = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")
_QUOTED: Final = ("'", '"', "|", ">")
_SKIPPED: Final = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)


def read_documents(name: str, data: bytes, findings: Findings) -> tuple[Source, list[Node]]:
    """The documents of a file that are complete; what is wrong with the rest goes to the findings.

    Args:
        name: of the file, for people.
        data: its first bytes; more than `FILE_BYTES_MAX` of them are not looked at.
        findings: get what is wrong.

    Raises:
        FindingsFullError: too much is wrong.
    """
    text, problem = _decode(data)
    source = Source(name, text.splitlines())
    if problem is not None:
        mark, code, message, fix = problem
        findings.add(Finding(source, mark, code, message, fix))
        return source, []
    found_before = len(findings)
    builder = _Builder(source, text, findings)
    with suppress(_StoppedError):
        builder.build()
    if not builder.complete and len(findings) == found_before:
        fix = "write an agreement, as in docs/ola.md"
        findings.add(Finding(source, START, Code.UNREADABLE, "there is nothing in this file", fix))
    return source, builder.complete


def _decode(data: bytes) -> tuple[str, tuple[Mark, Code, str, str] | None]:
    if len(data) > FILE_BYTES_MAX:
        message = f"the file is larger than {FILE_BYTES_MAX // 1024} KiB"
        return "", (START, Code.TOO_LARGE, message, "split it: any number of files can be given")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        return before, (_mark_behind(before), Code.UNREADABLE, "this is not UTF-8", "save the file as UTF-8")
    found = _UNPRINTABLE.search(text)
    if found is not None:
        message = f"YAML does not allow the character U+{ord(found[0]):04X}"
        return text, (_mark_behind(text[: found.start()]), Code.UNREADABLE, message, "take it out")
    return text, None


def _mark_behind(text: str) -> Mark:
    return Mark(text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)


def _mark(event: yaml.Event) -> Mark:
    begin = event.start_mark
    return Mark(begin.line + 1, begin.column + 1) if begin is not None else START


class _StoppedError(Exception):
    """The rest of the file is not read."""


class _Builder:
    """Turns one file's events into trees."""

    def __init__(self, source: Source, text: str, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._events = self._parsed(text)
        self._nodes = 0
        self._told: set[str] = set()
        self.complete: list[Node] = []

    def build(self) -> None:
        """Read every document that says something."""
        for event in self._events:
            if isinstance(event, _SKIPPED):
                continue
            node = self._node(event, depth=1)
            if not isinstance(node, ScalarNode) or node.value is not None:
                self.complete.append(node)

    def _parsed(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.YAMLError as error:
            where = self._broken_at(error)
            message, fix = explain_syntax(str(getattr(error, "problem", None) or error), self._source.line(where.line))
            self._add(where, Code.SYNTAX, message, fix)
            raise _StoppedError from error

    def _broken_at(self, error: yaml.YAMLError) -> Mark:
        """Where the parser stopped; of what is never closed, where it was opened."""
        marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
        places = [Mark(mark.line + 1, mark.column + 1) for mark in marks if mark is not None]
        return next((place for place in places if self._source.line(place.line).strip()), START)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        mark = _mark(event)
        self._count(mark, depth)
        if isinstance(event, yaml.AliasEvent):
            message = "aliases are not read: a few of them can stand for gigabytes"
            self._add_once(mark, message, f"write out what *{event.anchor} and others stand for")
            return ScalarNode(mark, "")
        self._refuse_decoration(event, mark)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(ListNode(mark), depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(MapNode(mark), depth)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101, there is no other kind of node
        return ScalarNode(mark, self._value(event, mark))

    def _list(self, node: ListNode, depth: int) -> ListNode:
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            item = self._node(event, depth + 1)
            self._refuse_nothing(item, item.mark, "the entry")
            node.items.append(item)
        return node

    def _mapping(self, node: MapNode, depth: int) -> MapNode:
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key_mark = _mark(event)
            key = self._key(event, key_mark, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if key is None:
                continue
            if (before := node.entries.get(key)) is not None:
                message = f"`{key}` is there twice, first in line {before.key_mark.line}"
                self._add(key_mark, Code.DUPLICATE, message, "keep the one that is meant")
                continue
            if self._refuse_nothing(value, key_mark, f"`{key}`"):
                value = ScalarNode(key_mark, None)
            node.entries[key] = Entry(key_mark, value)
        return node

    def _key(self, event: yaml.Event, mark: Mark, depth: int) -> str | None:
        """A key that is text; None of any other, which is reported."""
        node = self._node(event, depth)
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            if node.value != "<<":
                return node.value
            self._add(mark, Code.REFUSED_YAML, "merge keys are not read", "write the keys out")
        else:
            self._add(
                mark, Code.REFUSED_YAML, "a key has to be text", "put the key in quotes, or correct the indentation"
            )
        return None

    def _value(self, event: yaml.ScalarEvent, mark: Mark) -> Scalar:
        text = str(event.value)
        if event.style in _QUOTED:
            return text
        if (unclear := ambiguity(text)) is not None:
            self._add(mark, Code.AMBIGUOUS, *unclear)
            return text
        return value_of(text)

    def _refuse_decoration(self, event: yaml.Event, mark: Mark) -> None:
        if anchor := getattr(event, "anchor", None):
            self._add_once(mark, "anchors are not read", f"take &{anchor} and others out")
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            self._add(mark, Code.REFUSED_YAML, "tags are not read", "take the tag out; put text in quotes")

    def _refuse_nothing(self, node: Node, mark: Mark, what: str) -> bool:
        """Whether a value is missing, which is reported."""
        missing = isinstance(node, ScalarNode) and node.value is None
        if missing:
            self._add(mark, Code.BAD_VALUE, f"{what} has no value", "give it one, or leave it out")
        return missing

    def _count(self, mark: Mark, depth: int) -> None:
        self._nodes += 1
        if depth > DEPTH_MAX:
            message = f"this is nested deeper than {DEPTH_MAX} levels"
            self._add(mark, Code.TOO_LARGE, message, "no agreement needs so many: look for brackets that do not close")
        elif self._nodes > NODES_MAX:
            self._add(mark, Code.TOO_LARGE, f"these are more than {NODES_MAX} values", "split the file")
        else:
            return
        raise _StoppedError

    def _add_once(self, mark: Mark, message: str, fix: str) -> None:
        """Refuse something that a file may be full of."""
        if message not in self._told:
            self._told.add(message)
            self._add(mark, Code.REFUSED_YAML, message, fix)

    def _add(self, mark: Mark, code: Code, message: str, fix: str) -> None:
        self._findings.add(Finding(self._source, mark, code, message, fix))
