"""Faults of processes: killed, stopped for a while, starved, restarted."""

from __future__ import annotations

import asyncio
import signal
import time

from tests.faults.site import Site
from tests.faults.stage import Stage

PAUSES_S = (2.5, 5.0, 10.0)
"""Of the leader, by round; longer than an election."""
PAUSE_TIMEOUT_S = 14.0
"""Of an operation while a node is paused: what waits in its sockets must still be wanted when it wakes up."""


async def kill_leader(stage: Stage[Site]) -> None:
    """SIGKILL of the leader, and its return."""
    await _kill(stage, await stage.leader())


async def kill_follower(stage: Stage[Site]) -> None:
    """SIGKILL of a follower, and its return."""
    await _kill(stage, await stage.follower())


async def _kill(stage: Stage[Site], victim: str) -> None:
    stage.mesh.node(victim).send_signal(signal.SIGKILL)
    stage.strike(victim)
    await stage.resumed()
    await stage.leader(stage.others(victim))
    await stage.mesh.restart(victim)
    await stage.leader()


async def kill_all(stage: Stage[Site]) -> None:
    """SIGKILL of every node at once, and a cold start of all."""
    await stage.leader()
    for node in stage.mesh.nodes.values():
        node.send_signal(signal.SIGKILL)
    stage.strike()
    await asyncio.gather(*(stage.mesh.restart(name) for name in stage.names))
    await stage.resumed()
    await stage.leader()


async def pause_leader(stage: Stage[Site]) -> None:
    """SIGSTOP of the leader for longer than an election takes: it wakes up in the belief that it leads."""
    await _pause(stage, PAUSES_S[stage.round % len(PAUSES_S)])


async def pause_leader_shortly(stage: Stage[Site]) -> None:
    """The same, for as short as makes sense."""
    await _pause(stage, PAUSES_S[0])


async def _pause(stage: Stage[Site], pause_s: float) -> None:
    leader = await stage.leader()
    node = stage.mesh.node(leader)
    node.send_signal(signal.SIGSTOP)
    awake_at_s = time.monotonic() + pause_s
    stage.strike(leader)
    try:
        await stage.leader(stage.others(leader))
        await stage.resumed()
        await asyncio.sleep(max(awake_at_s - time.monotonic(), 0.0))
    finally:
        node.send_signal(signal.SIGCONT)
    await stage.leader()


async def restart_in_turn(stage: Stage[Site]) -> None:
    """SIGTERM of one node after the other, as in an upgrade."""
    begun_s = time.monotonic()
    for name in stage.random.sample(stage.names, len(stage.names)):
        stage.strike(name)
        await stage.mesh.restart(name)
        await stage.resumed()
        await stage.leader()
    silence_s = stage.load.record.longest_silence_s(begun_s, time.monotonic())
    stage.notes.append(f"longest time without an acknowledgement {silence_s:.2f} s")
