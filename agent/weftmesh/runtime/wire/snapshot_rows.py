"""A board at one revision as rows of a snapshot file, and back: header, projects, tasks, requests, events.

Values stand by column, some hundred in a row, and histories come before those they belong to. A row costs little to
read that way: Python handles columns, not fields of messages.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Final

from google.protobuf.message import DecodeError

from weftmesh.board.v1 import command_pb2
from weftmesh.board.v1.command_pb2 import BoardRow
from weftmesh.core.board.compact import shared_text
from weftmesh.core.board.model import Change, MergePolicy, Project, Task
from weftmesh.core.board.state import BoardState, EventRef, RememberedRequest
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.wire.columns import Sharing, batches
from weftmesh.runtime.wire.history_rows import Histories, change_characters, encode_changes
from weftmesh.runtime.wire.memory_rows import (
    decode_events,
    decode_requests,
    encode_events,
    encode_requests,
    event_characters,
    request_characters,
)
from weftmesh.runtime.wire.task_rows import decode_tasks, encode_tasks, task_characters

STATE_HASH_BYTES: Final = 16


def rows_of(state: BoardState) -> Iterator[bytes]:
    """Yield each row of `state`, serialized; equal states make equal rows."""
    return (row.SerializeToString(deterministic=True) for row in _messages(state))


def _messages(state: BoardState) -> Iterator[BoardRow]:
    row = BoardRow()
    _encode_header(state, row.header)
    yield row
    for project in state.projects:
        yield from _change_rows(project.history)
        row = BoardRow()
        encode_project(project, row.project)
        yield row
    for tasks in batches(state.tasks, task_characters):
        yield from _change_rows(chain.from_iterable([task.history for task in tasks]))
        row = BoardRow()
        encode_tasks(tasks, row.tasks)
        yield row
    for requests in batches(state.requests, request_characters):
        row = BoardRow()
        encode_requests(requests, row.requests)
        yield row
    for events in batches(state.events, event_characters):
        row = BoardRow()
        encode_events(events, row.events)
        yield row


def _change_rows(changes: Iterable[Change]) -> Iterator[BoardRow]:
    for batch in batches(changes, change_characters):
        row = BoardRow()
        encode_changes(batch, row.changes)
        yield row


def state_from_rows(rows: Iterable[bytes]) -> BoardState:
    """Return the state that `rows_of` wrote.

    The garbage collector rests meanwhile, and later ones leave alone what was read, and all else that exists now.

    Raises:
        DataCorruptionError: a row is not one, or the header is not the first and only one.
    """
    reader = _Reader()
    number = 0
    with _no_collection():
        for number, data in enumerate(rows, start=1):
            with _blaming(number):
                reader.read(data)
        with _blaming(number):
            state = reader.state()
        gc.freeze()  # before it is enabled, or the first collection walks all that was made
    return state


@contextmanager
def _blaming(number: int) -> Iterator[None]:
    try:
        yield
    except (DecodeError, InvalidInputError, ValueError, LookupError) as error:
        raise DataCorruptionError(
            f"row {number} of the board's snapshot cannot be read ({error}); restore the node from its peers"
        ) from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking all tasks again and again while nothing becomes garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Reader:
    """What was read of a snapshot so far. Every method raises ValueError, LookupError or InvalidInputError."""

    def __init__(self) -> None:
        self._sharing = Sharing()
        self._histories = Histories(self._sharing)
        self._header: command_pb2.BoardHeaderRow | None = None
        self._projects: list[Project] = []
        self._tasks: list[Task] = []
        self._requests: list[RememberedRequest] = []
        self._events: list[EventRef] = []

    def read(self, data: bytes) -> None:
        """Take the next row; DecodeError when it does not parse."""
        row = BoardRow.FromString(data)
        kind = row.WhichOneof("kind")
        if (kind == "header") is not (self._header is None):
            raise ValueError(f"it is a row of kind {kind}; the header comes first, once")
        if kind == "header":
            self._header = _checked_header(row.header)
        elif kind == "project":
            self._projects.append(decode_project(row.project, self._histories))
        elif kind == "tasks":
            self._tasks += decode_tasks(row.tasks, self._histories, self._sharing)
        elif kind == "requests":
            self._requests += decode_requests(row.requests, self._sharing)
        elif kind == "events":
            self._events += decode_events(row.events, self._sharing)
        elif kind == "changes":
            self._histories.add(row.changes)
        else:
            raise ValueError("it is of no kind this version knows; upgrade it if others are newer")

    def state(self) -> BoardState:
        """The whole, after the last row."""
        header = self._header
        if header is None:
            raise ValueError("there is no header")
        self._histories.check_taken()
        return BoardState(
            revision=header.revision,
            commands_applied=header.commands_applied,
            state_hash=header.state_hash,
            watch_floor=header.watch_floor_revision,
            stamp=header.stamp,
            projects=tuple(self._projects),
            tasks=tuple(self._tasks),
            requests=tuple(self._requests),
            events=tuple(self._events),
        )


def _encode_header(state: BoardState, row: command_pb2.BoardHeaderRow) -> None:
    row.revision = state.revision
    row.commands_applied = state.commands_applied
    row.state_hash = state.state_hash
    row.watch_floor_revision = state.watch_floor
    row.stamp = state.stamp


def _checked_header(row: command_pb2.BoardHeaderRow) -> command_pb2.BoardHeaderRow:
    if len(row.state_hash) != STATE_HASH_BYTES:
        raise ValueError(f"a state hash has {STATE_HASH_BYTES} bytes, not {len(row.state_hash)}")
    return row


def encode_project(project: Project, row: command_pb2.ProjectRow) -> None:
    """Fill an empty `row` with `project`, without its history."""
    row.project_id = project.id
    row.title = project.title
    row.home = project.home
    row.merge_policy = project.merge_policy
    row.version = project.version
    row.revision = project.revision
    row.created_revision = project.created_revision
    row.created_stamp = project.created_stamp
    row.updated_stamp = project.updated_stamp
    row.deleted_stamp = project.deleted_stamp
    row.next_number = project.next_number
    row.change_count = len(project.history)


def decode_project(row: command_pb2.ProjectRow, histories: Histories) -> Project:
    """Return the project in `row`, which takes its history; ValueError when it is not one."""
    (history,) = histories.take([row.change_count])
    return Project(
        id=shared_text(row.project_id),
        title=row.title,
        home=shared_text(row.home),
        merge_policy=MergePolicy(row.merge_policy),
        version=row.version,
        revision=row.revision,
        created_revision=row.created_revision,
        created_stamp=row.created_stamp,
        updated_stamp=row.updated_stamp,
        deleted_stamp=row.deleted_stamp,
        next_number=row.next_number,
        history=history,
    )
