"""Values of the board in words, as people read and write them. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final, cast
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.encoding import enum_word
from weftmesh.core.errors import InvalidInputError

STATUSES: Final = ("todo", "doing", "blocked", "done", "cancelled")
NO_PRIORITY: Final = "none"
PRIORITIES: Final = (NO_PRIORITY, "low", "normal", "high", "urgent")
MERGE_POLICIES: Final = ("ask", "latest", "reject")


def status_word(number: int) -> str:
    """`doing` for TASK_STATUS_DOING."""
    return enum_word(board_pb2.TaskStatus.DESCRIPTOR, number)


def priority_word(number: int) -> str:
    """`high` for TASK_PRIORITY_HIGH; empty for none."""
    return enum_word(board_pb2.TaskPriority.DESCRIPTOR, number) if number else ""


def policy_word(number: int) -> str:
    """`ask` for MERGE_POLICY_ASK."""
    return enum_word(board_pb2.MergePolicy.DESCRIPTOR, number)


def parse_status(text: str) -> board_pb2.TaskStatus:
    """The status for a word.

    Raises:
        InvalidInputError: there is none.
    """
    return cast("board_pb2.TaskStatus", board_pb2.TaskStatus.Value("TASK_STATUS_" + _word(text, STATUSES, "status")))


def parse_priority(text: str) -> board_pb2.TaskPriority:
    """The priority for a word; none for nothing.

    Raises:
        InvalidInputError: there is none.
    """
    word = _word(text or NO_PRIORITY, PRIORITIES, "priority")
    return cast(
        "board_pb2.TaskPriority",
        board_pb2.TaskPriority.Value("TASK_PRIORITY_" + ("UNSPECIFIED" if word == NO_PRIORITY.upper() else word)),
    )


def parse_merge_policy(text: str) -> board_pb2.MergePolicy:
    """The merge policy for a word.

    Raises:
        InvalidInputError: there is none.
    """
    return cast(
        "board_pb2.MergePolicy",
        board_pb2.MergePolicy.Value("MERGE_POLICY_" + _word(text, MERGE_POLICIES, "merge policy")),
    )


def parse_estimate(text: str) -> float:
    """An estimate.

    Raises:
        InvalidInputError: not a finite number of 0 or more.
    """
    try:
        estimate = float(text)
    except ValueError:
        estimate = -1.0
    if not 0 <= estimate < float("inf"):
        raise InvalidInputError(f"estimate {text!r} is not a number of 0 or more; write 3 or 0.5")
    return estimate


def parse_due(text: str) -> board_pb2.Due:
    """When something is due: `2026-12-01`, `2026-12-01 14:00 Europe/Helsinki` or `2026-12-01T14:00+02:00`.

    Raises:
        InvalidInputError: it is none of these; an instant needs a zone or an offset.
    """
    moment, _, zone = text.strip().rpartition(" ")
    try:
        if len(text.strip()) == len("2026-12-01"):
            return board_pb2.Due(date=date.fromisoformat(text.strip()).isoformat())
        if "/" in zone or zone.isalpha():
            local = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))
        else:
            local, zone = datetime.fromisoformat(text.strip()), "UTC"
    except (ValueError, OSError):  # an unknown zone is a KeyError below, a directory's name an OSError
        raise _bad_due(text) from None
    except KeyError:
        raise InvalidInputError(f"{zone!r} is not a time zone; write a name such as Europe/Helsinki or UTC") from None
    if local.tzinfo is None:
        raise InvalidInputError(
            f"due {text!r} has no time zone; add one: due={text.strip()!r} + ' Europe/Helsinki' or UTC"
        )
    time = Timestamp()
    try:
        time.FromDatetime(local.astimezone(UTC))
    except OverflowError:  # within a day of the first or the last year
        raise _bad_due(text) from None
    return board_pb2.Due(at=board_pb2.ZonedTime(time=time, zone=zone))


def due_text(task: board_pb2.Task) -> str:
    """When a task is due, in the zone the person meant it in; empty for never."""
    if task.due.WhichOneof("kind") != "at":
        return task.due.date
    moment = task.due.at.time.ToDatetime(tzinfo=UTC)
    zone = task.due.at.zone or "UTC"
    try:
        return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"
    except (KeyError, ValueError, OSError):
        return f"{moment:%Y-%m-%d %H:%M} UTC"  # this machine does not know the zone


def time_text(time: Timestamp) -> str:
    """A moment in UTC, to the second; empty for none."""
    return f"{time.ToDatetime():%Y-%m-%d %H:%M:%SZ}" if time.seconds else ""


def size_text(size_bytes: int) -> str:
    """A size in MiB."""
    return f"{size_bytes / 2**20:.1f} MiB"


def _word(text: str, words: tuple[str, ...], what: str) -> str:
    if text.lower() not in words:
        raise InvalidInputError(f"{text!r} is not a {what}; write one of {', '.join(words)}")
    return text.upper()


def _bad_due(text: str) -> InvalidInputError:
    return InvalidInputError(
        f"due {text!r} is not a time; write 2026-12-01, '2026-12-01 14:00 Europe/Helsinki' or 2026-12-01T14:00+02:00"
    )
