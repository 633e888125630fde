"""Entries that only nodes of a feature level may take into their logs, and what a payload says to each side of Raft.

A fence stands in the log before the first entry that an earlier build would misread: such a build stops at the fence
instead of making another state. Builds that know levels read the number. Those before them know neither field nor
number, so the entry also carries a membership of nobody, which they refuse as malformed: from a leader, in a snapshot's
trail, and at the start on a log that has it.
"""

from __future__ import annotations

from typing import Final

from weftmesh.agent.raft.core.membership import Configuration, from_membership
from weftmesh.core.features.levels import FIRST_LEVEL, check_supported
from weftmesh.mesh.v1 import raft_pb2

MARK: Final = b"weftmesh fence"
"""In every fence; an entry without one may hold it, too."""


def payload_of(command: bytes, level: int) -> raft_pb2.LogPayload:
    """What is proposed for a command; behind a fence if earlier levels must not take it in."""
    if level == FIRST_LEVEL:
        return raft_pb2.LogPayload(command=command)
    fenced = raft_pb2.Fenced(level=level, command=command, mark=MARK)
    return raft_pb2.LogPayload(membership=raft_pb2.Membership(), fenced=fenced)


def command_in(payload: raft_pb2.LogPayload) -> bytes | None:
    """The command for the state machine, if it is one."""
    if payload.HasField("fenced"):
        return payload.fenced.command
    return payload.command if payload.HasField("command") else None


def level_of(payload: raft_pb2.LogPayload) -> int:
    """The level of the fence around its command."""
    return int(payload.fenced.level) if payload.HasField("fenced") else FIRST_LEVEL


def configuration_in(payload: raft_pb2.LogPayload) -> Configuration | None:
    """The members from this entry on, if it says so."""
    if payload.HasField("fenced") or not payload.HasField("membership"):
        return None
    return from_membership(payload.membership)


def check_level(payload: raft_pb2.LogPayload, index: int) -> None:
    """Refuse an entry that is not for this build.

    Raises:
        UnsupportedLevelError: a later one has to take it in.
    """
    if payload.HasField("fenced"):
        check_supported(payload.fenced.level, f"entry {index} of the log")
