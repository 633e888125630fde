"""Writes to a board in few words: ids, stamps and request ids count up by themselves."""

from __future__ import annotations

from collections.abc import Mapping

from weftmesh.core.board.commands import (
    Command,
    CreateProject,
    CreateTask,
    Header,
    UpdateTask,
)
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import FieldValue, MergePolicy, Task
from weftmesh.core.board.outcomes import Event, Outcome

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(number: int) -> str:
    """The ULID with this value."""
    digits = [_ALPHABET[(number >> (5 * place)) & 31] for place in range(25, -1, -1)]
    return "".join(digits)


class Writer:
    """Somebody at a board. `last` and `events` are what the latest command came to."""

    def __init__(self, board: Board | None = None, policy: MergePolicy = MergePolicy.ASK) -> None:
        self.board = board or Board()
        self.last: Outcome
        self.events: tuple[Event, ...] = ()
        self._stamp = 1_000
        self._made = 0
        if self.board.project("PROJ") is None:
            self.apply(CreateProject(self.header(), "PROJ", "Project", merge_policy=policy))

    def header(self, actor: str = "ann@n1", stamp: int = 0, request_id: bytes = b"", digest: int = 0) -> Header:
        """A header with the next stamp."""
        self._stamp += 1
        return Header(actor, stamp or self._stamp, request_id, digest)

    def apply(self, command: Command) -> Outcome:
        """Applies a command and checks every invariant."""
        self.last, self.events = self.board.apply(command)
        self.board.check()
        return self.last

    def create(self, title: str = "Fix it", project_id: str = "PROJ", **fields: FieldValue) -> Task:
        """A new task; `custom_KEY` stands for custom.KEY."""
        self._made += 1
        values = {"title": title, **{path.replace("custom_", "custom."): value for path, value in fields.items()}}
        outcome = self.apply(CreateTask(self.header(), project_id, ulid(self._made), values))
        assert outcome.ok, outcome.message
        return self.task(outcome.subject)

    def update(
        self,
        task: Task,
        changes: Mapping[str, FieldValue],
        *,
        base: Mapping[str, FieldValue] | None = None,
        version: int = 0,
        queued: bool = False,
        actor: str = "bob@n2",
        stamp: int = 0,
    ) -> Outcome:
        """An update of `task` by somebody else."""
        return self.apply(UpdateTask(self.header(actor, stamp), task.id, changes, base or {}, version, queued))

    def task(self, ref: str) -> Task:
        """A task that is there."""
        found = self.board.find_task(ref)
        assert found is not None, self.board.story(ref)
        return found
