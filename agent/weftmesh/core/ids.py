"""Names of things: ULIDs, readable task keys such as PROJ-12, and resource names such as projects/PROJ/tasks/ID."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final

from weftmesh.core.errors import InvalidInputError

ALL_PROJECTS: Final = "projects/-"
"""Where a request takes a project's name, this stands for every replicated project."""

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_CHARACTERS: Final = 26
_PAIRS: Final = [first + second for first in _CROCKFORD for second in _CROCKFORD]
"""Every two characters: half the steps, and every new task has an id."""
_PAIR_SHIFTS: Final = range(5 * (_ULID_CHARACTERS - 2), -1, -10)
_ULID_RANDOM_BITS: Final = 80
_ULID_TIME_BITS: Final = 48
_ULID: Final = re.compile(f"[0-7][{_CROCKFORD}]{{25}}")
_PROJECT_ID: Final = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_SHOWN_CHARACTERS: Final = 80
"""How much of a wrong name a message repeats."""


def new_ulid(now_ms: int, rng: random.Random) -> str:
    """A new ULID (github.com/ulid/spec): 48 bits of time, 80 random bits, 26 characters, upper case.

    Args:
        now_ms: milliseconds since 1970.
        rng: `secrets.SystemRandom()` in production.

    Raises:
        InvalidInputError: the time does not fit into 48 bits.
    """
    if not 0 <= now_ms < 1 << _ULID_TIME_BITS:
        raise InvalidInputError(f"a ULID cannot hold the time {now_ms} ms; set this machine's clock")
    value = now_ms << _ULID_RANDOM_BITS | rng.getrandbits(_ULID_RANDOM_BITS)
    return "".join([_PAIRS[value >> shift & 1023] for shift in _PAIR_SHIFTS])


def is_ulid(text: str) -> bool:
    """Whether `text` is a ULID in its canonical, upper-case form: one id has one spelling."""
    return _ULID.fullmatch(text) is not None


def ulid_ms(ulid: str) -> int:
    """When a ULID was made, milliseconds since 1970; by the clock of whoever made it."""
    value = 0
    for character in ulid[:10]:
        value = value << 5 | _CROCKFORD.index(character)
    return value


def is_project_id(text: str) -> bool:
    """Whether `text` can be a project's id."""
    return _PROJECT_ID.fullmatch(text) is not None


def check_project_id(text: str) -> str:
    """`text`, if it can be a project's id.

    Raises:
        InvalidInputError: it cannot.
    """
    if not is_project_id(text):
        raise InvalidInputError(
            f"{_shown(text)} is not a project id; write 2 to 16 characters A-Z, 0-9 and _, a letter first, such as PROJ"
        )
    return text


def split_key(key: str) -> tuple[str, int] | None:
    """The project and the number of a task key: PROJ-12 is ("PROJ", 12). None if it is not a key."""
    project_id, _, number = key.rpartition("-")
    if not is_project_id(project_id) or _NUMBER.fullmatch(number) is None:
        return None
    return project_id, int(number)


@dataclass(frozen=True, slots=True)
class TaskRef:
    """Which task a resource name means: by id, or by the number in its key."""

    project_id: str
    task_id: str = ""
    """A ULID; empty when the name gives a key."""
    number: int = 0
    """The key's number; 0 when the name gives a ULID."""


def project_name(project_id: str) -> str:
    """The resource name of a project."""
    return f"projects/{project_id}"


def task_name(project_id: str, task_id: str) -> str:
    """The resource name of a task."""
    return f"projects/{project_id}/tasks/{task_id}"


def conflict_name(project_id: str, task_id: str, number: int) -> str:
    """The resource name of a stored conflict."""
    return f"projects/{project_id}/tasks/{task_id}/conflicts/{number}"


def parse_project_name(name: str) -> str:
    """The project id in projects/PROJ.

    Raises:
        InvalidInputError: it is not a project's name.
    """
    match name.split("/"):
        case ["projects", project_id]:
            return check_project_id(project_id)
    raise InvalidInputError(f"{_shown(name)} is not a project's name; write projects/PROJ")


def parse_task_name(name: str) -> TaskRef:
    """The task meant by projects/PROJ/tasks/ULID, projects/PROJ/tasks/PROJ-12 or tasks/PROJ-12.

    Raises:
        InvalidInputError: it is not a task's name.
    """
    match name.split("/"):
        case ["projects", project_id, "tasks", task]:
            return _task_ref(name, check_project_id(project_id), task)
        case ["tasks", key] if parts := split_key(key):
            return TaskRef(parts[0], number=parts[1])
    raise InvalidInputError(
        f"{_shown(name)} is not a task's name; "
        "write projects/PROJ/tasks/ID, projects/PROJ/tasks/PROJ-12 or tasks/PROJ-12"
    )


def parse_conflict_name(name: str) -> tuple[TaskRef, int]:
    """The task and the number in projects/PROJ/tasks/ID/conflicts/N.

    Raises:
        InvalidInputError: it is not a conflict's name.
    """
    task, _, number = name.rpartition("/conflicts/")
    if not task or _NUMBER.fullmatch(number) is None:
        raise InvalidInputError(f"{_shown(name)} is not a conflict's name; write projects/PROJ/tasks/ID/conflicts/1")
    return parse_task_name(task), int(number)


def _task_ref(name: str, project_id: str, task: str) -> TaskRef:
    if is_ulid(task):
        return TaskRef(project_id, task_id=task)
    parts = split_key(task)
    if parts is None:
        raise InvalidInputError(f"{_shown(name)} ends in neither a ULID nor a key such as {project_id}-12")
    if parts[0] != project_id:
        raise InvalidInputError(
            f"{_shown(name)} names project {project_id}, but its key belongs to {parts[0]}; write tasks/{task}"
        )
    return TaskRef(project_id, number=parts[1])


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")
