"""What `task set` and `task add` accept: `field=value`, `field+=value`, `field-=value`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.text import parse_due, parse_estimate, parse_priority, parse_status
from weftmesh.core.board.model import CUSTOM_PREFIX, PLAIN_PATHS, SET_PATHS
from weftmesh.core.errors import InvalidInputError

ALIASES: Final = {"label": "labels", "depends": "depends_on", "depends-on": "depends_on", "dependency": "depends_on"}
REFERENCE_PATHS: Final = frozenset({"parent", "depends_on"})
"""Their values name tasks, in any way a person may."""
_ASSIGNMENT: Final = re.compile(
    r"(?P<path>[a-z_]+(?:-[a-z]+)*|custom\.[^=]+?)\s*(?P<sign>[+-]?)=(?P<text>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One change: `sign` is empty to set a field, `+` and `-` to add to a set and take from it."""

    path: str
    sign: str
    text: str

    @property
    def items(self) -> list[str]:
        """The members that the text names, for a set."""
        return [item.strip() for item in self.text.split(",") if item.strip()]


def parse_assignments(arguments: Iterable[str]) -> list[Assignment]:
    """What the words on the command line ask for.

    Raises:
        InvalidInputError: a word is no assignment, names no field, or adds to what is no set.
    """
    return [_parse(argument) for argument in arguments]


def references(assignments: Iterable[Assignment]) -> list[str]:
    """The tasks that the values name, each once."""
    named = (assignment for assignment in assignments if assignment.path in REFERENCE_PATHS)
    return list(dict.fromkeys(item for assignment in named for item in assignment.items))


def assign(
    assignments: Sequence[Assignment], seen: board_pb2.Task, names: Mapping[str, str]
) -> tuple[board_pb2.Task, list[str]]:
    """The task as it should be, and the paths that are to be written.

    Args:
        assignments: applied in their order.
        seen: the task as it was read.
        names: the resource name for each of `references`.

    Raises:
        InvalidInputError: a value does not fit its field.
    """
    task = board_pb2.Task()
    task.CopyFrom(seen)
    for assignment in assignments:
        if assignment.path in SET_PATHS:
            _assign_set(task, assignment, names)
        elif assignment.path.startswith(CUSTOM_PREFIX):
            _assign_custom(task, assignment)
        else:
            _assign_plain(task, assignment, names)
    return task, list(dict.fromkeys(assignment.path for assignment in assignments))


def _parse(argument: str) -> Assignment:
    match = _ASSIGNMENT.fullmatch(argument)
    if match is None:
        raise InvalidInputError(
            f"{argument!r} is no assignment; write field=value, such as status=done or label+=urgent"
        )
    path = ALIASES.get(match["path"], match["path"])
    if path not in PLAIN_PATHS and not path.startswith(CUSTOM_PREFIX):
        raise InvalidInputError(f"there is no field {path!r}; known are {', '.join(PLAIN_PATHS)} and custom.KEY")
    if match["sign"] and path not in SET_PATHS:
        raise InvalidInputError(f"{path} is no set: write {path}=value instead of {match['sign']}=")
    return Assignment(path, match["sign"], match["text"])


def _assign_set(task: board_pb2.Task, assignment: Assignment, names: Mapping[str, str]) -> None:
    field = task.labels if assignment.path == "labels" else task.depends_on
    items = {names.get(item, item) if assignment.path in REFERENCE_PATHS else item for item in assignment.items}
    match assignment.sign:
        case "+":
            items |= set(field)
        case "-":
            items = set(field) - items
    del field[:]
    field.extend(sorted(items))


def _assign_custom(task: board_pb2.Task, assignment: Assignment) -> None:
    key = assignment.path.removeprefix(CUSTOM_PREFIX)
    if assignment.text:
        task.custom[key] = assignment.text
    elif key in task.custom:
        del task.custom[key]


def _assign_plain(task: board_pb2.Task, assignment: Assignment, names: Mapping[str, str]) -> None:
    text = assignment.text
    match assignment.path:
        case "status":
            task.status = parse_status(text)
        case "priority":
            task.priority = parse_priority(text)
        case "estimate" | "due" as path if not text.strip():
            task.ClearField(path)
        case "estimate":
            task.estimate = parse_estimate(text)
        case "due":
            task.due.CopyFrom(parse_due(text))
        case "parent":
            task.parent = names.get(text.strip(), text.strip())
        case path:
            setattr(task, path, text)
