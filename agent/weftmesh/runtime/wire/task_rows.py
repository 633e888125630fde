"""Tasks by column, as a row of a snapshot. Restoring 100,000 of them bounds how fast a node starts: keep it quick."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import chain, islice
from typing import Final

from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.compact import PackedFields, packed, shared_fields, shared_names, shared_set
from weftmesh.core.board.model import Conflict, DueAt, DueDate, Priority, Status, Task
from weftmesh.runtime.wire.columns import Places, Sharing, at_places, exactly, from_exactly, records, text_table
from weftmesh.runtime.wire.history_rows import Histories, decode_conflict, encode_conflict
from weftmesh.runtime.wire.values import decode_value, encode_value

_STATUSES: Final = {int(status): status for status in Status}
_PRIORITIES: Final = {int(priority): priority for priority in Priority}
_NO_CUSTOM: Final = PackedFields({})


def task_characters(task: Task) -> int:
    """How much text a task brings into a row, but for its history."""
    custom = packed(task.custom)
    size = 0 if custom is None else sum(map(len, custom.texts))
    return len(task.title) + len(task.description) + len(task.origin) + size


def encode_tasks(tasks: Sequence[Task], row: command_pb2.TaskRows) -> None:
    """Fill an empty `row` with `tasks`, without their histories."""
    texts = Places("")
    row.task_ids.extend([task.id for task in tasks])
    row.titles.extend([task.title for task in tasks])
    row.descriptions.extend([task.description for task in tasks])
    row.origins.extend([task.origin for task in tasks])
    row.numbers.extend([task.number for task in tasks])
    row.versions.extend([task.version for task in tasks])
    row.revisions.extend([task.revision for task in tasks])
    row.statuses.extend([task.status for task in tasks])
    row.priorities.extend([task.priority for task in tasks])
    row.created_stamps.extend([task.created_stamp for task in tasks])
    row.updated_stamps.extend([task.updated_stamp for task in tasks])
    row.deleted_stamps.extend([task.deleted_stamp for task in tasks])
    row.next_conflict_numbers.extend([task.next_conflict_number for task in tasks])
    row.change_counts.extend([len(task.history) for task in tasks])
    row.projects.extend(texts.of([task.project_id for task in tasks]))
    row.assignees.extend(texts.of([task.assignee for task in tasks]))
    row.updated_by.extend(texts.of([task.updated_by for task in tasks]))
    row.parents.extend(texts.of([task.parent for task in tasks]))
    _encode_values(tasks, row)
    _encode_custom(tasks, texts, row)
    row.texts.extend(texts.table)
    for place, task in enumerate(tasks):
        if task.conflicts:
            _encode_conflicts(task.conflicts, row.conflicts.add(task=place))


def _encode_values(tasks: Sequence[Task], row: command_pb2.TaskRows) -> None:
    sets: Places[frozenset[str]] = Places(frozenset())
    reals: Places[Hashable] = Places(None)
    dues: Places[DueDate | DueAt | None] = Places(None)
    row.labels.extend(sets.of([task.labels for task in tasks]))
    row.depends_on.extend(sets.of([task.depends_on for task in tasks]))
    row.estimates.extend(reals.of([exactly(task.estimate) for task in tasks]))
    row.due.extend(dues.of([task.due for task in tasks]))
    for items in sets.table:
        row.sets.add(items=sorted(items))
    row.reals.extend([real for real in map(from_exactly, reals.table) if isinstance(real, float)])
    for due in dues.table:
        encode_value(due, row.dues.add())


def _encode_custom(tasks: Sequence[Task], texts: Places[str], row: command_pb2.TaskRows) -> None:
    customs = [packed(task.custom) or _NO_CUSTOM for task in tasks]
    key_sets: Places[tuple[str, ...]] = Places(())
    row.custom_keys.extend(key_sets.of([custom.names for custom in customs]))
    row.custom_values.extend(texts.of(chain.from_iterable([custom.texts for custom in customs])))
    for names in key_sets.table:
        row.key_sets.add(items=names)


def _encode_conflicts(conflicts: Iterable[Conflict], row: command_pb2.TaskConflictsRow) -> None:
    for conflict in conflicts:
        encode_conflict(conflict, row.conflicts.add())


def decode_tasks(row: command_pb2.TaskRows, histories: Histories, sharing: Sharing) -> list[Task]:
    """Return the tasks in `row`, which take their histories; one object for what equal tasks have in common.

    Raises:
        ValueError, LookupError, InvalidInputError: it is not such a row.
    """
    texts = text_table(row.texts[:])
    sets = [frozenset[str](), *[shared_set(frozenset(one.items)) for one in row.sets]]
    reals = [None, *row.reals]
    dues = [None, *map(_decode_due, row.dues)]
    return records(
        Task,
        id=sharing.column(row.task_ids[:]),
        project_id=at_places(texts, row.projects[:]),
        number=row.numbers[:],
        version=row.versions[:],
        revision=sharing.column(row.revisions[:]),
        title=row.titles[:],
        description=row.descriptions[:],
        status=[_STATUSES[number] for number in row.statuses[:]],
        assignee=at_places(texts, row.assignees[:]),
        priority=[_PRIORITIES[number] for number in row.priorities[:]],
        labels=at_places(sets, row.labels[:]),
        estimate=at_places(reals, row.estimates[:]),
        due=at_places(dues, row.due[:]),
        parent=at_places(texts, row.parents[:]),
        depends_on=at_places(sets, row.depends_on[:]),
        custom=_decode_custom(row, texts),
        origin=row.origins[:],
        created_stamp=sharing.column(row.created_stamps[:]),
        updated_stamp=sharing.column(row.updated_stamps[:]),
        deleted_stamp=row.deleted_stamps[:],
        updated_by=at_places(texts, row.updated_by[:]),
        history=histories.take(row.change_counts[:]),
        conflicts=_decode_conflicts(row),
        next_conflict_number=row.next_conflict_numbers[:],
    )


def _decode_due(value: command_pb2.FieldValue) -> DueDate | DueAt:
    due = decode_value("due", value)
    if not isinstance(due, DueDate | DueAt):
        raise ValueError("it has a due that is neither a day nor an instant")  # noqa: TRY004, it was read, not passed
    return due


def _decode_names(row: command_pb2.TextSet) -> tuple[str, ...]:
    names = tuple(row.items)
    if list(names) != sorted(set(names)):
        raise ValueError(f"its custom keys {names} are not in order")
    return shared_names(names)


def _decode_custom(row: command_pb2.TaskRows, texts: Sequence[str]) -> list[PackedFields | None]:
    key_sets: list[tuple[str, ...]] = [(), *map(_decode_names, row.key_sets)]
    keys_of = at_places(key_sets, row.custom_keys[:])
    values = at_places(texts, row.custom_values[:])
    if len(values) != sum(map(len, keys_of)):
        raise ValueError(f"it has {len(values)} custom values for other keys")
    left = iter(values)
    return [shared_fields(keys, tuple(islice(left, len(keys)))) if keys else None for keys in keys_of]


def _decode_conflicts(row: command_pb2.TaskRows) -> list[tuple[Conflict, ...]]:
    conflicts: list[tuple[Conflict, ...]] = [()] * len(row.task_ids)
    for item in row.conflicts:
        conflicts[item.task] = tuple([decode_conflict(conflict) for conflict in item.conflicts])
    return conflicts
