"""The replicated log as the rest of the agent sees it. One implementation; the interface is the way out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from weftmesh.core.features.levels import FIRST_LEVEL


class Role(Enum):
    """What a node is in the present term."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"
    JOINING = "joining"
    """Is no member yet, or gets the log and is to vote once it has caught up."""
    OBSERVER = "observer"
    """Gets the log, serves and proposes, and neither votes nor counts."""


class MemberRole(Enum):
    """What a member is to the others."""

    VOTER = "voter"
    OBSERVER = "observer"


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One other member, as this node sees it."""

    name: str
    address: str
    connected: bool
    match_index: int
    """Known to be durable there; 0 unless this node leads."""


@dataclass(frozen=True, slots=True)
class RaftStatus:
    """A moment of the engine."""

    node: str
    role: Role
    term: int
    leader: str
    """Empty when none is known."""
    quorum: bool
    """Whether this node leads a majority, or heard from a leader within an election timeout."""
    commit_index: int
    applied_index: int
    first_index: int
    last_index: int
    snapshot_index: int
    pending: int
    """Proposals of this node without an outcome yet."""
    voters: Mapping[str, str] = field(default_factory=dict)
    """Name to host:port, this node included if it votes."""
    observers: Mapping[str, str] = field(default_factory=dict)
    """Name to host:port, this node included if it is one."""
    joining: frozenset[str] = frozenset()
    """Those of the observers that become voters when they have caught up."""
    peers: tuple[PeerStatus, ...] = ()
    last_term: int = 0
    """Of the entry at last_index: of two logs, the one that ends in the later term holds what was committed."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A proposal's command was committed and applied on this node."""

    index: int
    result: Any
    """What the state machine returned for it here."""


Swap = Callable[[], Iterator[None]]
"""Puts a prepared state in place; see `StateMachine.prepare_restore`."""


class StateMachine(Protocol):
    """What the log drives. Called on the event loop only, but for what is said to be called in a thread."""

    def apply(self, index: int, command: bytes, commit_time_us: int, *, level: int = FIRST_LEVEL) -> Any:
        """Apply one committed command and return the outcome. Must never raise: a bad command is an outcome.

        Args:
            index: the log index, rising by at least one from call to call.
            command: what was proposed.
            commit_time_us: the leader's clock when the command became durable on a majority, microseconds since
                1970; 0 when this node did not learn it (replay at start, catching up).
            level: of the fence around it; what raises the level counts behind its own fence alone.
        """

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Take a shallow copy now (on the loop, within milliseconds); the returned function, called in a thread,
        yields the rows of the copy, each a serialized message of at most a few MiB.
        """

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make a whole state of the rows of a snapshot, beside the present one. Called in a thread, or at the start.

        Returns:
            What puts it in the place of the present one, on the loop and within milliseconds. The iterator that it
            returns lets go of the former state bit by bit; it is run down in a thread.

        Raises:
            DataCorruptionError: a row does not parse or does not fit.
        """


class RaftEngine(Protocol):
    """A replicated log. All methods are called on the event loop."""

    async def start(self) -> None:
        """Recover from disk, then take part. Returns when the local state is loaded, not when there is a quorum.

        Raises:
            DataCorruptionError: the log or the snapshot is damaged beyond an unacknowledged torn tail.
        """

    async def stop(self) -> None:
        """Stop taking part; what was acknowledged is on disk."""

    async def propose(self, command: bytes, timeout_s: float, *, level: int = FIRST_LEVEL) -> Applied:
        """Replicate a command and wait until this node has applied it. Works on every member.

        Args:
            command: for the state machine.
            timeout_s: for all of it.
            level: members that do not support this feature level must not take the command in, and stop at it. For
                what raises the level; everything behind that is safe from them.

        Raises:
            NoQuorumError: refused before it entered any log; nothing was changed.
            UnknownOutcomeError: it may still be applied; a retry by request id is safe.
            OverloadedError: too many proposals wait already.
        """

    async def read_barrier(self, timeout_s: float) -> int:
        """Return once this node has applied everything that was acknowledged anywhere before the call.

        Returns:
            The applied index.

        Raises:
            NoQuorumError: no answer from a majority in time.
            OverloadedError: too many reads wait already.
        """

    async def change_member(self, name: str, role: MemberRole | None, address: str | None, timeout_s: float) -> None:
        """Add a member, move it to `address`, promote, demote or remove it (`role` None); from any member.

        A new voter gets the log as an observer first and is promoted when it has caught up, so that it never weakens
        the majority; if that takes longer than there is time it goes on joining, and the same call continues. Returns
        at once when the members are that way.

        Args:
            name: the node.
            role: what it is to be.
            address: where it is reached, host:port; None leaves that as it is.
            timeout_s: for all of it.

        Raises:
            PreconditionError: LAST_VOTER; MEMBERSHIP_BUSY: another change is under way; OBSERVER_BEHIND,
                OBSERVER_SILENT: it has not caught up (the message says how far it is behind), or is not there.
            InvalidInputError: a new member without an address.
            NoQuorumError, UnknownOutcomeError: as for `propose`.
        """

    async def transfer_leadership(self, timeout_s: float) -> bool:
        """Ask the most up-to-date voter to take over, if this node leads. Returns whether this node no longer leads."""

    async def recover_quorum(self, timeout_s: float) -> None:
        """Make this node the only voter with what it has, durably, though no majority agrees; return when it leads.

        What the others committed and this node never got is lost, and the others must never run again as they are.

        Raises:
            PreconditionError: it leads, or is no member.
        """

    def status(self) -> RaftStatus:
        """A consistent moment of the engine; cheap."""

    def on_change(self, callback: Callable[[RaftStatus], None]) -> None:
        """Call back when role, term, leader, quorum or members have changed."""
