"""Committed entries reach the state machine: the hazards of commands."""

from __future__ import annotations

from collections import deque
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from weftmesh.agent.raft.core.durability import Durability
from weftmesh.agent.raft.core.fencing import command_in, level_of
from weftmesh.agent.raft.core.stock import CoreParts
from weftmesh.core.errors import DataCorruptionError, WeftmeshError
from weftmesh.mesh.v1 import raft_pb2

log = structlog.get_logger(__name__)

COMMIT_TIMES_LIMIT = 4096
"""Commits that wait to be applied with their time; older ones are applied without."""


class Applying(Durability):
    """Opaque bytes go to the state machine, with the time of their commit where it is known."""

    def __init__(self, parts: CoreParts) -> None:
        self._commit_times: deque[tuple[int, int]] = deque(maxlen=COMMIT_TIMES_LIMIT)
        self._commit_time_us = 0
        self._stamped_commit = 0
        self._applied_bytes = 0
        super().__init__(parts)

    def _commit_to(self, index: int, time_us: int) -> None:
        """A follower learns that everything up to `index` is committed."""
        if index > self._commit:
            self._commit = index
            self._commit_times.append((index, time_us))
        self._leader_commit = self._commit

    def _stamp_commit(self) -> bool:
        """A leader notes when it found out; returns whether it has just done so."""
        news = self.leads and self._commit > self._stamped_commit
        if news:
            self._commit_time_us = self._parts.wall_us()
            self._commit_times.append((self._commit, self._commit_time_us))
        self._stamped_commit = self._commit
        return news

    def _commit_time_of(self, index: int) -> int:
        """0 for an entry of an earlier term: it may have been committed long ago."""
        while self._commit_times and self._commit_times[0][0] < index:
            self._commit_times.popleft()
        known = bool(self._commit_times) and self._storage.term_at(index) == self._term
        return self._commit_times[0][1] if known else 0

    def _SyncObj__applyLogEntries(self) -> bool:  # noqa: N802 - pysyncobj's name
        """The peers hear of a commit before this node applies it: then all nodes apply it at the same time."""
        if self._stamp_commit() and self._members:
            return False
        return bool(super()._SyncObj__applyLogEntries())

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:  # noqa: N802
        """Instead of unpickling: pass the bytes on, and tell whoever waits for them on this node.

        Raises:
            DataCorruptionError: the payload was checked when it was taken in, and does not parse now.
        """
        index = self._applied + 1
        try:
            payload = raft_pb2.LogPayload.FromString(command)
        except DecodeError:
            raise DataCorruptionError(
                f"entry {index} of the log does not parse; remove this node, wipe its data and let it join again"
            ) from None
        wanted = command_in(payload)
        result = None if wanted is None else self._apply_command(index, wanted, level_of(payload))
        self._applied_bytes += len(command)
        self._parts.proposals.applied(payload.proposal_ids, index, result)

    def _apply_command(self, index: int, command: bytes, level: int) -> Any:
        """A command that raises must not stop every node at the same entry for ever: its outcome is an error."""
        try:
            return self._parts.machine.apply(index, command, self._commit_time_of(index), level=level)
        except Exception as error:  # whatever it is, every node meets it alike
            log.exception("raft.apply_failed", index=index)
            return WeftmeshError(f"the command at index {index} failed in the state machine: {error!r}")
