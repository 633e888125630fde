"""The engine ticks only when the core says that there is work: then a tick that it leaves out would do nothing."""

from __future__ import annotations

import random

import pytest
from tests.fakes.raft_cluster import Cluster

NAMES = "ABC"
STEPS = 400


def picture(c: Cluster, name: str) -> tuple[object, ...]:
    """What a tick could change, but for clocks; what the node has sent included."""
    core, storage = c[name].core, c[name].log_storage
    sent = tuple(len(c.queues[name, other]) for other in NAMES if other != name)
    return core.summary(), core._commit, core._applied, storage.last_index, storage.base_index, len(c[name].jobs), sent


def act(c: Cluster, rng: random.Random) -> str:
    """Something happens to one node; returns its name."""
    name, other = rng.sample(NAMES, 2)
    match rng.choices(("tick", "deliver", "write", "sync", "begin", "reset"), (3, 8, 3, 2, 2, 0.05))[0]:
        case "tick":
            c.step(name, rng.random() * 0.02)
        case "deliver":
            c.deliver(other, name, rng.randint(1, 3))
        case "write":
            c[name].write(b"%d" % rng.getrandbits(30))
        case "sync":
            c[name].sync()
        case "begin":
            c[name].begin_sync()
        case "reset":
            c.link(name, other, False)
            c.link(name, other, True)
    return name


@pytest.mark.parametrize("seed", range(12))
def test_a_tick_without_work_changes_and_sends_nothing(seed: int) -> None:
    rng, left_out = random.Random(seed), 0
    with Cluster("hardened", NAMES, seed=seed) as c:
        c.elect("A", NAMES)
        for _ in range(STEPS):
            name = act(c, rng)
            core = c[name].core
            if core.has_work or core.next_deadline_s() <= c.world.now_s + 0.01:
                continue
            left_out += 1
            before = picture(c, name)
            c[name].tick()
            assert picture(c, name) == before, name
    assert left_out > STEPS / 10
