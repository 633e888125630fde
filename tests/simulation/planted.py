"""Faults planted into the engine, each one safeguard undone. The simulation is worth what it finds of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.simulation.disks import SimulatedLog

from weftmesh.agent.raft.core.hardened import HardenedSyncObj
from weftmesh.agent.raft.core.membership import quorum_size
from weftmesh.agent.raft.core.proposals import Stage

ANY = ()
FAR = 1 << 40


@dataclass(frozen=True)
class Mutant:
    """A fault and where to look for it."""

    name: str
    core_class: type[HardenedSyncObj]
    profiles: tuple[str, ...]
    """In which schedules to look; in all if empty."""
    log_class: type[SimulatedLog] = SimulatedLog
    script: str = ""
    """How the name of the test begins that finds it, where chance is too slow."""


MUTANTS: dict[str, Mutant] = {}


def planted(name: str, *profiles: str, script: str = "") -> Callable[[type[Any]], type[Any]]:
    """Register a core, or a log, with a fault."""

    def register(cls: type[Any]) -> type[Any]:
        if issubclass(cls, SimulatedLog):
            MUTANTS[name] = Mutant(name, HardenedSyncObj, profiles, cls, script)
        else:
            MUTANTS[name] = Mutant(name, cls, profiles, script=script)
        return cls

    return register


# durability


@planted("acknowledges before it is durable", "crashy", "deposing", "fault-heavy")
class _EarlyAcknowledgement(HardenedSyncObj):
    def _acknowledge(self, leader: Any, match_index: int, round_: int = 0) -> None:
        self._send_acknowledgement(leader, match_index, round_)


@planted("a leader counts its own copy before it is durable", "crashy", "deposing", "fault-heavy")
class _EarlyOwnCopy(HardenedSyncObj):
    def _durable_at(self, name: str) -> int:
        return self._storage.last_index if name == self._parts.name else super()._durable_at(name)


@planted("a promise of an earlier term is kept in a later one", script="test_hazard_h1_an_acknowledgement_of_a_past")
class _StalePromise(HardenedSyncObj):
    def release_acknowledgements(self) -> None:
        self._held = type(self._held)((replace(held, term=self._term) for held in self._held), self._held.maxlen)
        super().release_acknowledgements()


@planted("a truncation does not lower what counts as durable", "deposing", "fault-heavy", "partitions")
class _DurableForEver(SimulatedLog):
    def _lower_durable(self, index: int) -> None:
        """Entries that take the place of dropped ones count as synced."""


@planted("term and vote are not synced", "crashy", "deposing")
class _ForgottenVote(SimulatedLog):
    def set_hard_state(self, term: int, vote: str) -> None:
        self._forgets = True
        try:
            super().set_hard_state(term, vote)
        finally:
            self._forgets = False

    def sync(self) -> None:
        if not getattr(self, "_forgets", False):
            super().sync()


@planted("takes its whole log for committed at the start", "crashy", "deposing")
class _CommittedAtStart(HardenedSyncObj):
    def load(self) -> None:
        super().load()
        self._commit = self._committable = self._storage.last_index


@planted("trims the log before the snapshot is durable", "snapshot-heavy", "crashy")
class _EarlyTrim(HardenedSyncObj):
    def take_snapshot(self) -> None:
        super().take_snapshot()
        if self._storage.base_index < self._applied <= self._storage.last_index:
            self._storage.compact_to(self._applied)


# replication


@planted("commits beyond what a message proves", "partitions", "deposing", "fault-heavy")
class _UnprovenCommit(HardenedSyncObj):
    def _commit_proven(self, append: Any, proven: int) -> None:
        self._commit_to(min(append.commit_index, self._storage.last_index), 0)


@planted(
    "commits entries of an earlier term by counting",
    "deposing",
    "fault-heavy",
    script="test_figure_8",
)
class _OldTermByCounting(HardenedSyncObj):
    def _SyncObj__getEntries(self, *args: Any, **kwargs: Any) -> list[Any]:  # noqa: N802
        items = super()._SyncObj__getEntries(*args, **kwargs)
        return [(payload, index, self._term) for payload, index, _ in items] if self.leads else items


@planted("truncates without a conflict", "partitions", "fault-heavy")
class _UnconditionalTruncation(HardenedSyncObj):
    def _has(self, entry: Any) -> bool:
        return bool(entry.index <= max(self._storage.base_index, self._commit))


@planted("acknowledges its whole log, not what was proven", "partitions", "deposing")
class _UnprovenAcknowledgement(HardenedSyncObj):
    def _acknowledge(self, leader: Any, match_index: int, round_: int = 0) -> None:
        super()._acknowledge(leader, self._storage.last_index, round_)


@planted(
    "counts acknowledgements of an earlier term",
    "partitions",
    "fault-heavy",
    script="test_hazard_v3",
)
class _OldAcknowledgement(HardenedSyncObj):
    def _answered(self, peer: Any, message: Any) -> Any:
        if self._superseded(peer, message.term) or not self.leads:
            return None
        return self._progress.get(peer)


@planted("accepts entries without looking at what precedes them", "partitions", "deposing")
class _NoPreviousEntry(HardenedSyncObj):
    def _matches(self, append: Any) -> bool:
        return bool(append.prev_index <= self._storage.last_index)


# elections


@planted("votes without comparing the logs", "deposing", "partitions", "crashy")
class _AnyCandidate(HardenedSyncObj):
    def _is_complete(self, request: Any) -> bool:
        return True

    def _to_stock(self, peer: Any, message: Any) -> None:
        if message.HasField("vote_request"):
            message.vote_request.last_log_index, message.vote_request.last_log_term = FAR, message.term
        super()._to_stock(peer, message)


@planted("votes twice in a term", "deposing", "partitions", script="test_two_candidates")
class _TwoVotes(HardenedSyncObj):
    def _to_stock(self, peer: Any, message: Any) -> None:
        if message.HasField("vote_request"):
            self._SyncObj__votedForNodeId = None
        super()._to_stock(peer, message)


@planted("counts votes, not voters", "fault-heavy", "partitions", script="test_hazard_h5_one_voter")
class _CountedVotes(HardenedSyncObj):
    def receive(self, name: str, message: Any) -> None:
        if message.HasField("vote_response") and not message.vote_response.pre_vote:
            self._granted = (self._term, set())
        super().receive(name, message)


# snapshots


@planted(
    "installs a snapshot over newer state",
    "snapshot-heavy",
    "fault-heavy",
    script="test_hazard_v5",
)
class _OlderSnapshot(HardenedSyncObj):
    def receive_snapshot(self, name: str, chunk: Any) -> Any:
        with _lower_commit(self):
            return super().receive_snapshot(name, chunk)

    def snapshot_prepared(self, prepared: Any) -> Any:
        with _lower_commit(self):
            return super().snapshot_prepared(prepared)


@planted(
    "an installed snapshot clears the log behind it",
    "snapshot-heavy",
    "fault-heavy",
    script="test_hazard_v4_install",
)
class _ClearedSuffix(HardenedSyncObj):
    def _adopt(self, prepared: Any) -> Any:
        header = prepared.info.header
        self._storage.reset(header.last_index, header.last_term)
        return super()._adopt(prepared)


@planted("a snapshot says that it holds more than it does", "snapshot-heavy", "crashy")
class _BoastfulSnapshot(HardenedSyncObj):
    def take_snapshot(self) -> None:
        applied, self._applied = self._applied, self._commit
        try:
            super().take_snapshot()
        finally:
            self._applied = applied


# membership


@planted("changes of members overlap", "membership-heavy", script="test_hazard_membership_one_change")
class _OverlappingChanges(HardenedSyncObj):
    def _refusal(self, new: Any) -> None:
        return None


@planted(
    "a truncated change of members stays in effect",
    "membership-heavy",
    script="test_hazard_membership_takes_effect",
)
class _ForgottenRollback(HardenedSyncObj):
    def _truncate(self, index: int) -> bool:
        kept = list(self._configurations._history)
        super()._truncate(index)
        self._configurations._history[:] = kept
        return False


@planted("counts an observer for the majority", "membership-heavy", script="test_an_observer_counts")
class _CountedObserver(HardenedSyncObj):
    def _mark_committable(self) -> None:
        watching = [self._progress[peer].match_index for peer in self._members - self._others if peer in self._progress]
        if self.leads and watching and self._others:
            last = min(self._others, key=lambda peer: (self._match.get(peer, 0), peer.name))
            self._match[last] = max(self._match.get(last, 0), *watching)
        super()._mark_committable()


@planted(
    "a leader that is being removed counts itself",
    "membership-heavy",
    script="test_hazard_removed_leader",
)
class _CountsItself(HardenedSyncObj):
    def _quorum_index(self) -> int:
        if self.votes:
            return super()._quorum_index()
        indexes = sorted((self._durable_at(name) for name in (*self.voters, self._parts.name)), reverse=True)
        return indexes[quorum_size(self.voters) - 1]


@planted(
    "changes members before an entry of its term is committed",
    "membership-heavy",
    script="test_hazard_ongaro_2015",
)
class _EarlyChange(HardenedSyncObj):
    def _refusal(self, new: Any) -> Any:
        noop, self._noop_index = self._noop_index, 0
        try:
            return super()._refusal(new)
        finally:
            self._noop_index = noop


# reads and proposals


@planted("reads without asking a majority", "partitions", "deposing", "fault-heavy")
class _ReadWithoutRound(HardenedSyncObj):
    def _is_confirmed(self, after_round: int) -> bool:
        return True


@planted(
    "reads before an entry of its term is committed",
    "deposing",
    "partitions",
    script="test_nothing_is_served_before",
)
class _EarlyRead(HardenedSyncObj):
    def _begin_question(self) -> Any:
        noop, self._noop_index = self._noop_index, 0
        try:
            return super()._begin_question()
        finally:
            self._noop_index = noop


@planted("reads before what was asked for is applied", "crashy", "partitions", "calm")
class _ReadBeforeApplied(HardenedSyncObj):
    def _finish_applied(self) -> None:
        applied, self._applied = self._applied, FAR
        try:
            super()._finish_applied()
        finally:
            self._applied = applied


@planted("numbers of proposals restart at 0", "crashy", "fault-heavy")
class _RestartedNumbers(HardenedSyncObj):
    def __init__(self, parts: Any) -> None:
        parts.proposals._next_id = 0
        super().__init__(parts)


@planted("says that nothing was changed when the leader is lost", "crashy", "partitions")
class _FalseRefusal(HardenedSyncObj):
    def _notice_new_leader(self) -> None:
        if (self._leader, self._term) != self._followed:
            for waiter in [one for one in self._parts.proposals._waiters.values() if one.stage is not Stage.QUEUED]:
                waiter.stage = Stage.QUEUED
                self._parts.proposals._queue.append(waiter)
                self._parts.proposals.give_up(waiter, "planted")
        super()._notice_new_leader()


class _lower_commit:  # noqa: N801 - reads as a statement
    """While entered, a core believes that nothing is committed."""

    def __init__(self, core: HardenedSyncObj) -> None:
        self._core = core

    def __enter__(self) -> None:
        self._commit, self._core._commit = self._core._commit, 0

    def __exit__(self, *_error: object) -> None:
        if not self._core._commit:
            self._core._commit = self._commit
