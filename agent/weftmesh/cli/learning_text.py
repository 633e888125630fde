"""The replicated state of learning as people and scripts read it: words for numbers, times for clock stamps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from weftmesh.cli.encoding import to_json
from weftmesh.cli.noise_text import budget_json
from weftmesh.cli.session import LEARNER_SOCKET_NAME
from weftmesh.core.clock import stamp_to_ms
from weftmesh.core.learning.model import RoundKind, RoundStage, VersionStage
from weftmesh.core.learning.outcomes import Verb
from weftmesh.learning.v1 import learning_pb2, row_pb2

_ENUMS: Final[Mapping[str, Mapping[str, type[IntEnum]]]] = {
    row_pb2.Round.DESCRIPTOR.name: {"kind": RoundKind, "stage": RoundStage},
    row_pb2.UnmaskIntent.DESCRIPTOR.name: {"kind": RoundKind},
    row_pb2.Version.DESCRIPTOR.name: {"stage": VersionStage},
    row_pb2.LearningEvent.DESCRIPTOR.name: {"verb": Verb},
}
_STAMP: Final = "stamp"
STARTING_VERSIONS: Final = 2
"""A job's first versions come before its first training round: what counting starts from, and the untrained model."""
NO_LEARNER: Final = (
    "no learner is installed on this node: it takes no part in rounds, and leads none. Install the package "
    "weftmesh-learner here, or opt this node out (weftmesh learn opt-out); in a checkout: make learner, then stop and "
    "start the node"
)


def word(kind: type[IntEnum], number: int) -> str:
    """Such as `superseded`; the number itself where a newer release knows more."""
    try:
        return kind(number).name.lower().replace("_", "-")
    except ValueError:
        return str(number)


def spec_of(job: row_pb2.Job) -> learning_pb2.JobSpec:
    """What a job trains; empty when a newer release wrote it."""
    try:
        return learning_pb2.JobSpec.FromString(job.spec)
    except DecodeError:
        return learning_pb2.JobSpec()


def stamp_text(stamp: int) -> str:
    """A clock stamp in the reader's zone, to the second; empty for none."""
    return f"{_moment(stamp).astimezone():%Y-%m-%d %H:%M:%S}" if stamp else ""


def has_learner(target: str) -> bool:
    """Whether something listens for a learner to be started, beside the node's local socket `target`."""
    path = Path(target.removeprefix("unix:")).with_name(LEARNER_SOCKET_NAME)
    try:
        return path.is_socket()
    except OSError:
        return True  # what may not be looked at is not called absent


def goal_text(newest: int, goal: int) -> str:
    """How the rounds of a job make its versions, whose numbers do not begin with the first round."""
    first = max(newest, STARTING_VERSIONS) + 1
    begun = "" if newest >= STARTING_VERSIONS else "; version 1 is a seed and 2 the untrained model"
    return f"versions {first} to {goal}: one of each training round, which the node that leads carries out{begun}"


def learning_json(view: learning_pb2.Learning) -> dict[str, Any]:
    """All of it: stages and kinds as words, `added_stamp` as `added_time`, a job's spec as an object."""
    shown = to_json(view)
    for field in ("opt_outs", "rounds", "versions", "intents", "evaluations", "events"):
        shown[field] = [_row_json(row) for row in getattr(view, field)]
    shown["jobs"] = [to_json(job) | {"spec": to_json(spec_of(job)), "privacy": budget_json(job)} for job in view.jobs]
    return shown


def _row_json(row: Message) -> dict[str, Any]:
    words = _ENUMS.get(row.DESCRIPTOR.name, {})
    shown: dict[str, Any] = {}
    for name, value in to_json(row).items():
        if name in words:
            shown[name] = word(words[name], value)
        elif name.endswith(_STAMP):
            shown[name.removesuffix(_STAMP) + "time"] = _moment(value).isoformat() if value else None
        else:
            shown[name] = value
    return shown


def _moment(stamp: int) -> datetime:
    return datetime.fromtimestamp(stamp_to_ms(stamp) / 1000, UTC)
