"""Kinds of schedules: how often which fault happens, and how the engine is set up to feel it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.simulation.network import Conditions

from weftmesh.agent.raft.settings import RaftSettings

SETTINGS = RaftSettings(
    heartbeat_s=0.04, idle_heartbeat_s=0.08, election_min_s=0.3, election_max_s=0.5, resend_s=0.15, retry_s=0.02,
    leaving_grace_s=0.8, apply_limit=16, uncommitted_limit=1000,
)  # fmt: skip
EVERYTHING = {
    "power_cut": 0.5, "power_cut_soon": 0.7, "kill": 0.3, "reset": 0.7, "partition": 0.5, "one_way": 0.3, "heal": 1.0,
    "slow_link": 0.4, "slow_disk": 0.4, "freeze": 0.3, "clock_jump": 0.3, "clock_rate": 0.3, "hand_over": 0.4,
    "change_voters": 0.5, "depose": 0.5, "damage": 0.1, "snapshot": 0.4,
}  # fmt: skip
"""Events in a second, when everything goes wrong."""


@dataclass(frozen=True)
class Profile:
    """One kind of schedule."""

    name: str
    faults: Mapping[str, float]
    """Events in a second."""
    calls: float = 25.0
    """Of clients, in a second."""
    lossy: bool = False
    eager: float = 0.0
    """How likely the adversary strikes when a leader has just been elected, has written, or has committed."""
    snapshots: tuple[int, ...] = (10, 40, 10_000)
    """Entries from one snapshot to the next; drawn."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """Of the engine's settings."""


def _some(**rates: float) -> dict[str, float]:
    return {**dict.fromkeys(EVERYTHING, 0.0), **rates}


PROFILES = (
    Profile("calm", _some(reset=0.2, hand_over=0.3, snapshot=0.3, clock_rate=0.2), calls=40.0),
    Profile(
        "crashy",
        _some(power_cut=1.0, power_cut_soon=2.5, kill=0.5, slow_disk=1.0, snapshot=0.5, damage=0.2),
        snapshots=(5, 10, 40),
    ),
    Profile(
        "partitions",
        _some(partition=1.5, one_way=1.0, heal=1.5, reset=1.0, slow_link=0.7, freeze=0.5, clock_jump=0.5, kill=0.2),
        lossy=True,
    ),
    Profile(
        "snapshot-heavy",
        _some(
            partition=0.8,
            heal=1.5,
            power_cut_soon=1.0,
            reset=1.5,
            snapshot=3.0,
            slow_disk=0.5,
            power_cut=0.4,
            damage=0.2,
        ),
        snapshots=(4, 6, 10),
        overrides={"trailing_entries": 0, "chunk_bytes": 60},
    ),
    Profile(
        "membership-heavy",
        _some(change_voters=5.0, partition=0.7, heal=1.2, kill=0.4, power_cut=0.4, hand_over=0.6, depose=0.8),
        snapshots=(6, 20, 10_000),
    ),
    Profile(
        "deposing",
        _some(depose=2.5, partition=0.5, heal=1.0, power_cut=0.5, slow_disk=1.0, reset=0.5),
        eager=0.25,
    ),
    Profile("fault-heavy", EVERYTHING, lossy=True, eager=0.05, snapshots=(5, 15, 40)),
)


def draw_settings(profile: Profile, rng: random.Random) -> RaftSettings:
    """The engine's settings for a seed."""
    drawn = replace(
        SETTINGS,
        trailing_entries=rng.choice((0, 3, 2000)),
        snapshot_every_entries=rng.choice(profile.snapshots),
        append_limit_bytes=rng.choice((100, 400, 1 << 16)),
        chunk_bytes=rng.choice((100, 300, 1 << 16)),
        uncommitted_limit=rng.choice((10, 1000)),
    )
    return replace(drawn, **profile.overrides)  # type: ignore[arg-type]


def draw_conditions(profile: Profile, rng: random.Random) -> Conditions:
    """How well the network works in a seed."""
    jitter_s = rng.choice((0.0005, 0.002, 0.02))
    if not profile.lossy:
        return Conditions(latency_s=0.0005, jitter_s=jitter_s, late=rng.choice((0.0, 0.3)))
    return Conditions(
        latency_s=0.0005,
        jitter_s=jitter_s,
        loss=rng.choice((0.0, 0.01, 0.05)),
        twice=rng.choice((0.0, 0.05, 0.2)),
        late=rng.choice((0.0, 0.5)),
        late_s=rng.choice((0.1, 1.0)),
    )
