"""Runs the rounds of one fault on a mesh of its own, and adds up what they showed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.checkers.linearizability import UndecidedError
from tests.faults.load import Load, make_project
from tests.faults.network import NetworkError
from tests.faults.record import Record
from tests.faults.site import Site
from tests.faults.stage import Stage, StageError
from tests.faults.verdict import Verdict, judge
from tests.faults.watches import Sightings, watch_here, watch_roaming

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.core.errors import WeftmeshError

ROUND_TIMEOUT_S = 240.0
OPERATION_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: for the command line.
        inflict: one round of it; returns when the fault is over and the mesh has a leader again.
        make_site: surroundings for this many nodes.
        needs: each returns why the fault cannot be had here, or nothing.
        nodes: how many it takes.
        timeout_s: of a client's operation.
    """

    name: str
    inflict: Callable[[Stage[Any]], Awaitable[None]]
    make_site: Callable[[int], Site]
    needs: tuple[Callable[[], str], ...] = ()
    nodes: int = 3
    timeout_s: float = OPERATION_TIMEOUT_S

    def missing(self) -> str:
        """What is missing here for this fault; empty if nothing is."""
        return "; ".join(reason for need in self.needs if (reason := need()))


@dataclass
class Tally:
    """What the rounds of one fault showed; see `Verdict` for the figures."""

    rounds: int = 0
    total: Verdict = field(default_factory=Verdict)
    resume_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict, stage: Stage[Any]) -> None:
        """Take in one round."""
        self.rounds += 1
        total = self.total
        for name in ("acknowledged", "lost", "reads", "not_linearizable", "events", "gaps", "duplicates"):
            setattr(total, name, getattr(total, name) + getattr(verdict, name))
        total.folded += verdict.folded
        total.resyncs += verdict.resyncs
        self.resume_s += stage.resume_s
        self.notes += stage.notes
        self.violations += [f"round {self.rounds}: {violation}" for violation in verdict.violations]


async def run_fault(fault: Fault, rounds: int, seed: int, directory: Path, time_limit_s: float = float("inf")) -> Tally:
    """Make a mesh under `directory` and let the fault happen to it `rounds` times, or until a promise is broken.

    No round but the first is begun that would, by the ones before, end after the time limit.
    """
    tally = Tally()
    ends_at_s = time.monotonic() + time_limit_s
    site = fault.make_site(fault.nodes)
    try:
        async with dev_mesh(directory, fault.nodes, place=site.place) as mesh:
            begun_s = time.monotonic()
            for number in range(rounds):
                await _run_round(fault, mesh, site, random.Random(f"{fault.name} {seed} {number}"), tally)
                now_s = time.monotonic()
                if tally.violations or now_s + (now_s - begun_s) / tally.rounds > ends_at_s:
                    break
    except (StageError, NetworkError, UndecidedError, WeftmeshError, TimeoutError) as error:
        tally.violations.append(f"round {tally.rounds + 1}: {type(error).__name__}: {error}")
    finally:
        site.close()
    return tally


async def _run_round(fault: Fault, mesh: DevMesh, site: Site, chance: random.Random, tally: Tally) -> None:
    async with asyncio.timeout(ROUND_TIMEOUT_S), AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(node.client()) for name, node in mesh.nodes.items()}
        made = await make_project(clients[mesh.first.name], f"R{tally.rounds}")
        load = Load(clients, made.name, made.registers, Record(), chance, fault.timeout_s)
        watchers = await stack.enter_async_context(_watching(mesh, load, made.revision))
        stage = Stage(mesh, site, load, watchers, chance, tally.rounds)
        async with load.running():
            await stage.flowing()
            await fault.inflict(stage)
            await stage.flowing()
        tally.add(await judge(load, list(watchers.values())), stage)


@asynccontextmanager
async def _watching(mesh: DevMesh, load: Load, revision: int) -> AsyncIterator[dict[str, Sightings]]:
    """A watcher on each node, and one that goes from node to node, for as long as the block runs."""
    sightings = {name: Sightings(name, revision) for name in (*mesh.nodes, "roaming")}
    for client in load.clients.values():  # a node that lags must know the project before it is watched there
        await client.board.list_tasks(board_pb2.ListTasksRequest(parent=load.project, min_revision=revision))
    tasks = [
        asyncio.create_task(watch_here(client, load.project, sightings[name])) for name, client in load.clients.items()
    ]
    sockets = [node.socket for node in mesh.nodes.values()]
    tasks.append(asyncio.create_task(watch_roaming(sockets, load.project, sightings["roaming"])))
    try:
        yield sightings
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
