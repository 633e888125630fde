"""Random logs of commands over a few projects, tasks and values, so that writers meet; a seed repeats a log."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.unit.core.board.writer import ulid

from weftmesh.core.board.commands import (
    ClaimTask,
    Command,
    CreateProject,
    CreateTask,
    DeleteProject,
    DeleteTask,
    Header,
    ResolveConflict,
    RevertTask,
    UndeleteProject,
    UndeleteTask,
    UpdateProject,
    UpdateTask,
)
from weftmesh.core.board.model import DueAt, DueDate, FieldValue, MergePolicy

_TASKS = 4
_VALUES: dict[str, tuple[FieldValue, ...]] = {
    "title": ("One", "Two", "Three", "Four", ""),
    "description": ("", "d1", "d2"),
    "status": (1, 2, 3, 4, 5, 6),
    "assignee": ("", "ann", "bob"),
    "priority": (0, 1, 4),
    "labels": tuple(frozenset(items) for items in ("", "a", "b", "ab", "bc")),
    "estimate": (None, 0.5, 8, -1),
    "due": (None, DueDate("2026-11-21"), DueDate("never"), DueAt(5, "UTC")),
    "parent": ("", *map(ulid, range(1, _TASKS + 2))),
    "depends_on": (frozenset(), *(frozenset({ulid(number)}) for number in range(1, _TASKS + 1))),
    "custom.a": (None, "", "x", "y"),
    "custom.b": (None, "x"),
}


class _Log:
    """Draws commands; most are updates of tasks that exist."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def founded(self) -> list[Command]:
        """Two projects and their tasks, so that few commands are lost on what is not there."""
        made: list[Command] = [
            CreateProject(
                self.header(), project_id, "P", merge_policy=self._random.choice([MergePolicy.ASK, *MergePolicy])
            )
            for project_id in ("AA", "BB")
        ]
        made += [
            CreateTask(self.header(), ("AA", "BB")[number % 2], ulid(number), {"title": "One"})
            for number in range(1, _TASKS)
        ]
        return made

    def command(self) -> Command:
        """Any command."""
        makers: list[Callable[[], Command]] = [self._create, self._resolve, self._project, self._other]
        return self._random.choices([self._update, *makers], [14, 2, 3, 1, 4])[0]()

    def header(self) -> Header:
        random = self._random
        request_id = bytes([random.randrange(30)]) * 16 if random.random() < 0.15 else b""
        actor = random.choice(["ann@n1", "bob@n2", "cy@n3"])
        return Header(actor, random.randrange(1, 50), request_id, random.random() < 0.1)

    def _task(self) -> str:
        return ulid(self._random.choice([1, 1, 2, 2, 3, _TASKS]))

    def _values(self) -> dict[str, FieldValue]:
        random = self._random
        paths = random.sample(
            ["title", "title", "title", "description", "status", *_VALUES], random.choice([1, 2, 2, 3])
        )
        return {path: random.choice(_VALUES[path]) for path in sorted(paths)}

    def _update(self) -> Command:
        random = self._random
        base = self._values() if random.random() < 0.2 else {}
        version = random.choice([0, 1, 1, 1, 1, 2, 3, 9])
        return UpdateTask(self.header(), self._task(), self._values(), base, version, random.random() < 0.7)

    def _create(self) -> Command:
        random = self._random
        origin = random.choice(["", "jira:1", "jira:2"])
        fields: dict[str, FieldValue] = {"title": "One", **self._values()}
        return CreateTask(
            self.header(), random.choice(["AA", "BB"]), self._task(), fields, origin, random.choice([0, 0, 2, 7])
        )

    def _resolve(self) -> Command:
        take = self._random.choice([frozenset[str](), frozenset({"title"}), frozenset({"title", "status"})])
        return ResolveConflict(self.header(), self._task(), self._random.choice([1, 1, 2]), take)

    def _project(self) -> Command:
        random, header = self._random, self.header()
        project_id = random.choice(["AA", "BB", "CC"])
        version = random.choice([0, 0, 1, 2])
        policy = random.choice([None, *MergePolicy])
        commands: list[Command] = [
            CreateProject(header, project_id, "P"),
            UpdateProject(header, project_id, random.choice([None, "Q", "R"]), policy, version),
            DeleteProject(header, project_id, version),
            UndeleteProject(header, project_id),
            UndeleteProject(header, project_id),
        ]
        return random.choice(commands)

    def _other(self) -> Command:
        random, header, task_id = self._random, self.header(), self._task()
        commands: list[Command] = [
            ClaimTask(header, task_id, random.choice(["", "ann", "bob"])),
            RevertTask(header, task_id, random.randrange(5), 0),
            RevertTask(header, task_id, 1, random.randrange(5)),
            DeleteTask(header, task_id, random.choice([0, 2])),
            UndeleteTask(header, task_id),
            UndeleteTask(header, task_id),
            UndeleteTask(header, task_id),
        ]
        return random.choice(commands)


def random_log(seed: int, length: int) -> list[Command]:
    """A log of `length` commands after the first few."""
    log = _Log(Random(seed))
    return [*log.founded(), *(log.command() for _ in range(length))]
