"""Writes learning commands into the mesh's log."""

from __future__ import annotations

from weftmesh.agent.board.machine_log import WAITING_MAX, MachineLog, error_of
from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.core.learning.outcomes import LearningOutcome


class CommandLog(MachineLog[LearningOutcome]):
    """The log, for commands of learning."""

    def __init__(self, engine: RaftEngine) -> None:
        super().__init__(engine, "learning", LearningOutcome)


__all__ = ["WAITING_MAX", "CommandLog", "error_of"]
