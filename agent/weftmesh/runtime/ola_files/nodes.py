"""A YAML document as a tree that knows where everything stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from weftmesh.runtime.ola_files.findings import Mark

Scalar: TypeAlias = str | int | bool | Decimal | None
Plain: TypeAlias = "Scalar | list[Plain] | dict[str, Plain]"
Location: TypeAlias = Sequence[str | int]
"""Keys and positions from the root."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value."""

    mark: Mark
    value: Scalar


@dataclass(frozen=True, slots=True)
class ListNode:
    """Values in a row."""

    mark: Mark
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, where it stands, and what belongs to it."""

    key_mark: Mark
    node: Node


@dataclass(frozen=True, slots=True)
class MapNode:
    """Values by key."""

    mark: Mark
    entries: dict[str, Entry] = field(default_factory=dict)


Node: TypeAlias = ScalarNode | ListNode | MapNode


def plain(node: Node) -> Plain:
    """The values alone."""
    match node:
        case ScalarNode():
            return node.value
        case ListNode():
            return [plain(item) for item in node.items]
        case MapNode():
            return {key: plain(entry.node) for key, entry in node.entries.items()}


def text_at(node: Node, *location: str | int) -> str | None:
    """The text at a place; None if there is something else, or nothing."""
    found = _child_at(node, location)
    return found.value if isinstance(found, ScalarNode) and isinstance(found.value, str) else None


def mark_at(node: Node, location: Location) -> Mark:
    """Where something stands; of what is not there, the key of what it would belong to."""
    mark = node.mark
    for step in location:
        entry = _step(node, step)
        if entry is None:
            return mark
        node = entry.node
        mark = node.mark if isinstance(node, ScalarNode) else entry.key_mark
    return mark


def key_mark_at(node: Node, location: Location) -> Mark:
    """Where the key of something stands."""
    parent = _child_at(node, location[:-1])
    entry = _step(parent, location[-1]) if parent is not None and location else None
    return entry.key_mark if entry is not None else mark_at(node, location)


def has(node: Node, location: Location) -> bool:
    """Whether something stands there."""
    return _child_at(node, location) is not None


def keys_at(node: Node, location: Location) -> Mapping[str, Entry]:
    """The keys of a mapping; none of anything else."""
    found = _child_at(node, location)
    return found.entries if isinstance(found, MapNode) else {}


def _child_at(node: Node, location: Location) -> Node | None:
    for step in location:
        entry = _step(node, step)
        if entry is None:
            return None
        node = entry.node
    return node


def _step(node: Node, step: str | int) -> Entry | None:
    if isinstance(node, MapNode) and isinstance(step, str):
        return node.entries.get(step)
    if isinstance(node, ListNode) and isinstance(step, int) and 0 <= step < len(node.items):
        return Entry(node.items[step].mark, node.items[step])
    return None
