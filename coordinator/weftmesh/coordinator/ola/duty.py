"""Judges agreements while the node leads, every five minutes, and does what follows."""

from __future__ import annotations

import asyncio
from time import time
from typing import Final

import structlog

from weftmesh.client import Client
from weftmesh.client.ola_status import Held, held_agreements, judged
from weftmesh.coordinator.metrics import CoordinatorMeter
from weftmesh.coordinator.ola.decisions import Close, Open, SetClass, Step, Tell, retired_steps, steps
from weftmesh.coordinator.ola.tasks import close_task, open_task
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.ola.model import OpenTask
from weftmesh.core.ola.replicated.rows import Generation
from weftmesh.ola.v1 import agreement_pb2, command_pb2, ola_pb2
from weftmesh.runtime.wire.learning_records import read

EVERY_S: Final = 300.0
"""Between two looks: nodes count in windows of five minutes."""

log = structlog.get_logger("weftmesh.coordinator.ola")


class OlaDuty:
    """What whoever leads does about agreements.

    Args:
        client: of the local node.
        every_s: see EVERY_S.
        meter: told how it stands with each agreement.
    """

    def __init__(self, client: Client, every_s: float = EVERY_S, meter: CoordinatorMeter | None = None) -> None:
        self._client = client
        self._every_s = every_s
        self._meter = meter or CoordinatorMeter()

    async def run(self) -> None:
        """Go on until cancelled. What fails is tried again at the next look."""
        while True:
            try:
                await self.look()
            except WeftmeshError as error:
                log.info("agreements cannot be read", why=str(error))
            except Exception:  # whatever it is: nobody waits for this task, and a duty that ended would go unnoticed
                log.exception("a look at the agreements failed")
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Judge every agreement, and do what follows.

        Raises:
            WeftmeshError: the agreements cannot be read. One that fails does not stop the others.
        """
        view = await self._client.ola.get_agreements()
        for held in held_agreements(view, retired=True):
            name = held.generation.name
            try:
                # An opened breach has its task in the same look: what is done once is seen the second time.
                if await self._act(held):
                    again = await self._client.ola.get_agreements(ola_pb2.GetAgreementsRequest(name=name))
                    await self._act(held_agreements(again, retired=True)[0])
            except WeftmeshError as error:
                log.warning("an agreement could not be seen to", agreement=name, why=str(error))

    async def _act(self, held: Held) -> bool:
        """Do what follows for one agreement; whether a breach was opened."""
        now_s = int(time())
        if held.standing.retired:
            self._meter.retired(held.generation.name)
            found: list[Step] = list(retired_steps(held.breaches, now_s))
        else:
            history = await self._client.ola.get_history(held.generation.name)
            # a year of rules may take seconds to read
            seen = await asyncio.to_thread(judged, held, history, now_s)
            self._meter.judged(held.generation.name, seen.status)
            found = list(steps(seen))
        for step in found:
            try:
                await self._do(step)
            except WeftmeshError as error:  # of a project that is gone, say: the class is raised all the same
                log.warning("an agreement could not be seen to", agreement=held.generation.name, why=str(error))
        return any(isinstance(one, Open) for one in found)

    async def _do(self, step: Step) -> None:
        match step:
            case Open():
                opening = command_pb2.OpenBreach(
                    name=step.name, objective=step.objective, started_s=step.started_s, evidence=step.evidence
                )
                await self._change(ola_pb2.ChangeAgreementsRequest(open_breach=opening))
                log.info("a breach begins", agreement=step.name, objective=step.objective, why=step.evidence)
            case Close():
                await self._close(step)
            case Tell():
                if await open_task(self._client.board, step.breach, step.task):
                    log.info("a task is opened", agreement=step.breach.name, project=step.task.project)
            case SetClass():
                change = command_pb2.SetClass(name=step.name, to=agreement_pb2.ServiceClass.Name(step.to), why=step.why)
                await self._change(ola_pb2.ChangeAgreementsRequest(set_class=change))
                log.info("a class changes", agreement=step.name, to=step.to.name.lower(), why=step.why)

    async def _close(self, step: Close) -> None:
        """The tasks first: who closes the breach first and stops leaves them open for ever."""
        breach = step.breach
        for task in await self._tasks(breach.name):
            await close_task(self._client.board, breach, task, step.evidence)
        closing = command_pb2.CloseBreach(
            name=breach.name,
            objective=breach.objective,
            started_s=breach.started_s,
            ended_s=step.ended_s,
            evidence=step.evidence,
        )
        await self._change(ola_pb2.ChangeAgreementsRequest(close_breach=closing))
        log.info("a breach is over", agreement=breach.name, objective=breach.objective)

    async def _tasks(self, name: str) -> list[OpenTask]:
        """That may have been opened: an agreement may have got another generation, with other ones, meanwhile."""
        request = ola_pb2.GetAgreementsRequest(name=name, all_generations=True)
        view = await self._client.ola.get_agreements(request)
        actions = [action for one in view.generations for action in read(Generation, one).agreement.on_breach]
        return list(dict.fromkeys(one for one in actions if isinstance(one, OpenTask)))

    async def _change(self, request: ola_pb2.ChangeAgreementsRequest) -> None:
        await self._client.ola.change_agreements(request)
