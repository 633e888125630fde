"""Faults of the network between real processes: links down, packets dropped by direction, lost or slow."""

from __future__ import annotations

import asyncio
import time

from tests.faults.network import Network
from tests.faults.stage import Stage

HOLD_S = 2.0
"""How long a partition lasts after the other side has recovered: clients ask both sides meanwhile."""
FLAPS = 5
FLAP_DOWN_S = (0.2, 0.9)
FLAP_UP_S = (0.3, 0.8)
LOSS_PERCENT = 10
LOSS_S = 4.0


async def isolate_leader(stage: Stage[Network]) -> None:
    """The leader's link goes down: the others elect, and the old leader answers nothing that needs a majority."""
    leader = await stage.leader()
    stage.site.unplug(leader)
    stage.strike(leader)
    await _other_side_goes_on(stage, [leader])
    stage.site.heal()
    await stage.leader()


async def isolate_follower(stage: Stage[Network]) -> None:
    """A follower's link goes down: nobody else notices, and its return deposes nobody."""
    leader = await stage.leader()
    follower = stage.random.choice(stage.others(leader))
    stage.site.unplug(follower)
    stage.strike(follower)
    await _other_side_goes_on(stage, [follower])
    stage.site.heal()
    await stage.flowing()
    if await stage.leader() != leader:
        stage.notes.append("a follower's return cost the leader its office")


async def split_in_two(stage: Stage[Network]) -> None:
    """Three and two of five nodes, the leader with the fewer; clients go on asking on both sides."""
    leader = await stage.leader()
    minority = [leader, stage.random.choice(stage.others(leader))]
    stage.site.split(minority, stage.others(*minority))
    stage.strike(*minority)
    await _other_side_goes_on(stage, minority)
    stage.site.heal()
    await stage.leader()


async def cut_one_link(stage: Stage[Network]) -> None:
    """The leader and one follower lose each other; the third sees both, and the mesh must not dither."""
    leader = await stage.leader()
    follower = stage.random.choice(stage.others(leader))
    stage.site.split([leader], [follower])
    stage.strike(follower)
    await stage.resumed()
    until_s = time.monotonic() + 2 * HOLD_S
    while time.monotonic() < until_s:
        await stage.flowing(stage.others(leader, follower))
    stage.site.heal()
    await stage.leader()


async def cut_one_way(stage: Stage[Network]) -> None:
    """Nothing that the leader sends arrives, or nothing arrives at it, by turns."""
    leader = await stage.leader()
    others = stage.others(leader)
    if stage.round % 2 == 0:
        stage.site.drop(leader, leaving_to=others)
    else:
        stage.site.drop(leader, arriving_from=others)
    stage.strike(leader)
    await _other_side_goes_on(stage, [leader])
    stage.site.heal()
    await stage.leader()


async def cut_one_link_one_way(stage: Stage[Network]) -> None:
    """What a follower sends to the leader is lost, or what the leader sends to it, by turns; nobody else is touched."""
    leader = await stage.leader()
    follower = stage.random.choice(stage.others(leader))
    if stage.round % 2 == 0:
        stage.site.drop(leader, arriving_from=[follower])
    else:
        stage.site.drop(leader, leaving_to=[follower])
    stage.strike(follower)
    await _other_side_goes_on(stage, [follower])
    stage.site.heal()
    await stage.flowing()
    if await stage.leader() != leader:
        stage.notes.append("a link that was dead one way cost the leader its office")


async def flap(stage: Stage[Network]) -> None:
    """A link goes down and up again and again: the leader's and a follower's by turns."""
    victim = await stage.leader() if stage.round % 2 == 0 else await stage.follower()
    begun_s = time.monotonic()
    stage.strike(victim)
    for _ in range(FLAPS):
        stage.site.unplug(victim)
        await asyncio.sleep(stage.random.uniform(*FLAP_DOWN_S))
        stage.site.plug(victim)
        await asyncio.sleep(stage.random.uniform(*FLAP_UP_S))
    stage.site.heal()
    await stage.flowing()
    await stage.leader()
    silence_s = stage.load.record.longest_silence_s(begun_s, time.monotonic())
    stage.resume_s.append(silence_s)


async def lose_packets(stage: Stage[Network]) -> None:
    """Every node loses a share of what it sends."""
    for name in stage.names:
        stage.site.lose(name, LOSS_PERCENT)
    stage.strike()
    await stage.resumed()
    await asyncio.sleep(LOSS_S)
    await stage.flowing()
    stage.site.heal()
    await stage.leader()


async def _other_side_goes_on(stage: Stage[Network], cut_off: list[str]) -> None:
    """The nodes that are not cut off agree on a leader and write; those that are answer nothing from then on."""
    await stage.resumed()
    await stage.leader(stage.others(*cut_off))
    since_s = time.monotonic()
    await asyncio.sleep(HOLD_S)
    await stage.flowing(stage.others(*cut_off))
    for name in cut_off:
        stage.silent(name, since_s)
