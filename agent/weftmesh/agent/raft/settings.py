"""The engine's timings and limits, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from weftmesh.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RaftSettings:
    """Defaults suit a LAN; every election time must exceed several idle heartbeats."""

    heartbeat_s: float = 0.05
    """Silence towards a peer while something is uncommitted."""
    idle_heartbeat_s: float = 0.25
    """Silence towards a peer otherwise."""
    election_min_s: float = 1.0
    """A follower that heard a leader this recently helps nobody to depose it."""
    election_max_s: float = 1.5
    """After this without a leader every voter campaigns; after this without a majority a leader gives up."""
    resend_s: float = 0.5
    """An unanswered append or chunk is sent again; messages are lost only when a stream breaks, so this is rare."""
    append_limit_bytes: int = 1 << 20
    """Entries in one message."""
    chunk_bytes: int = 256 << 10
    """Snapshot bytes in one message."""
    command_limit_bytes: int = 4 << 20
    """One proposal."""
    pending_limit: int = 10_000
    """Proposals of this node without an outcome."""
    uncommitted_limit: int = 20_000
    """Entries that a leader holds without a majority for them before it takes no more."""
    apply_limit: int = 256
    apply_limit_bytes: int = 16 << 10
    """Applied in one tick, but at least one entry, so that the event loop is never held for long: a small write has
    about 150 bytes and takes about as many microseconds, and a node that catches up has to answer meanwhile."""
    snapshot_every_entries: int = 20_000
    snapshot_every_bytes: int = 8 << 20
    """Applied since the last snapshot, whichever comes first: what a node that was killed has to apply again."""
    snapshot_growth: int = 4
    """The log may also grow to this fraction of a large snapshot, so that writing them costs little in total."""
    trailing_entries: int = 2_000
    trailing_bytes: int = 4 << 20
    """Kept in the log behind a snapshot, whichever is less, so that a peer that fell behind a little needs none."""
    last_snapshot_entries: int = 500
    last_snapshot_bytes: int = 512 << 10
    """Applied since the last snapshot, whichever comes first, for a graceful stop to take one."""
    last_snapshot_s: float = 5.0
    """How long that may hold up the stop before it is abandoned."""
    promote_lag_entries: int = 1_000
    """An observer that lacks no more of what is committed has caught up: a follower takes in so much in a moment."""
    leaving_grace_s: float = 10.0
    """How long a leader goes on telling a removed voter that it was removed."""
    replay_timeout_s: float = 120.0
    """A sole voter applies its whole log before it is ready."""
    retry_s: float = 0.05
    """Before proposals that a node refused, because it does not lead, are sent again."""

    def __post_init__(self) -> None:
        """Refuse timings under which a healthy leader would be deposed.

        Raises:
            ConfigError: heartbeats are too rare for the election times.
        """
        slowest_s = max(self.heartbeat_s, self.idle_heartbeat_s)
        if not 0 < 3 * slowest_s < self.election_min_s < self.election_max_s:
            raise ConfigError(
                f"election times {self.election_min_s:g} to {self.election_max_s:g} s do not fit heartbeats of "
                f"{slowest_s:g} s: three of them must fit into the shortest"
            )

    @property
    def missed_leader_s(self) -> float:
        """How long a leader whose stream broke may be silent: a living one sends an idle heartbeat in that time."""
        return min(1.2 * self.idle_heartbeat_s, self.election_min_s)

    @property
    def patience_s(self) -> float:
        """How long an answer is waited for: never so long that a peer could miss its leader meanwhile."""
        return min(self.resend_s, self.election_min_s / 2)
