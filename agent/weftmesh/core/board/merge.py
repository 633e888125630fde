"""Three-way merge by field: what the writer saw, what the writer wants, and what the board says now.

A path that is absent from `base` was not seen by the writer, who then overwrites whatever is there.
"""

from __future__ import annotations

from collections.abc import Mapping

from weftmesh.core.board.history import last_write
from weftmesh.core.board.model import SET_PATHS, Collision, FieldChange, FieldValue, Task
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class Merged:
    """A write laid over the board; all tuples in the order of the paths."""

    changes: tuple[FieldChange, ...]
    """Fields that become something else, without a dispute."""
    collisions: tuple[Collision, ...]
    """Fields that both sides changed, differently."""
    clean_paths: tuple[str, ...]
    """Paths of the write that do not collide."""


def merge_fields(task: Task, yours: Mapping[str, FieldValue], base: Mapping[str, FieldValue]) -> Merged:
    """Lays `yours` over `task`, given the values of `base` that the writer saw."""
    changes: list[FieldChange] = []
    collisions: list[Collision] = []
    clean_paths: list[str] = []
    for path in sorted(yours):
        theirs = task.value(path)
        if path in base and collides(path, base[path], yours[path], theirs):
            actor = last_write(task, path).actor
            collisions.append(Collision(path, base[path], yours[path], theirs, actor))
            continue
        clean_paths.append(path)
        value = merged_value(base[path], yours[path], theirs) if path in base else yours[path]
        if value != theirs:
            changes.append(FieldChange(path, theirs, value))
    return Merged(tuple(changes), tuple(collisions), tuple(clean_paths))


def collides(path: str, base: FieldValue, yours: FieldValue, theirs: FieldValue) -> bool:
    """Whether both sides changed a field that cannot hold both values."""
    return path not in SET_PATHS and yours != base != theirs != yours


def merged_value(base: FieldValue, yours: FieldValue, theirs: FieldValue) -> FieldValue:
    """The value of a field that does not collide: for a set, what both sides added and removed."""
    if isinstance(base, frozenset) and isinstance(yours, frozenset) and isinstance(theirs, frozenset):
        return (theirs | (yours - base)) - (base - yours)
    return theirs if yours == base else yours


def later_wins(task: Task, collisions: tuple[Collision, ...], stamp: int, actor: str) -> tuple[FieldChange, ...]:
    """Settles each collision by the later stamp, and by name between equal stamps; the loser stays on record."""
    changes: list[FieldChange] = []
    for one in collisions:
        rival = last_write(task, one.path)
        if (stamp, actor) >= (rival.stamp, rival.actor):
            changes.append(FieldChange(one.path, one.theirs, one.yours, one.theirs, rival.actor))
        else:
            changes.append(lost(one, one.theirs, actor))
    return tuple(changes)


def lost(collision: Collision, present: FieldValue, actor: str) -> FieldChange:
    """The record of a value of `actor` that did not replace the `present` one."""
    return FieldChange(collision.path, present, present, collision.yours, actor)
