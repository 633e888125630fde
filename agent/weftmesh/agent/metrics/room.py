"""Metrics on one node: what is asked at a scrape, and where it is served."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from weftmesh.agent.audit.auditing import Auditor
from weftmesh.agent.backup_service import BACKUP_MARK
from weftmesh.agent.board.room import BoardRoom
from weftmesh.agent.metrics.board_metrics import BOARD_METRICS, BoardCollector
from weftmesh.agent.metrics.door_metrics import DOOR_METRICS, DoorCollector
from weftmesh.agent.metrics.machine_metrics import MACHINE_METRICS, MachineCollector
from weftmesh.agent.metrics.neighbours import neighbours_pages
from weftmesh.agent.metrics.raft_metrics import RAFT_METRICS, LogMeter, RaftCollector
from weftmesh.agent.metrics.safety_metrics import SAFETY_METRICS, SafetyCollector
from weftmesh.agent.privacy.ledger import EgressLedger
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Service
from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.doors.refusals import Refusals
from weftmesh.runtime.metrics.http_server import HttpServer
from weftmesh.runtime.metrics.loop_lag import LOOP_LAG, LoopLag
from weftmesh.runtime.metrics.model import Kind, Metric
from weftmesh.runtime.metrics.pages import own_pages
from weftmesh.runtime.metrics.process import PROCESS_METRICS, ProcessCollector
from weftmesh.runtime.metrics.registry import REGISTRY_METRICS, Registry

NODE: Final = Metric(
    "weftmesh_node", Kind.INFO, "Which node this is, and of which mesh.", labels=("node", "cluster", "address")
)
NODE_METRICS: Final = (
    NODE,
    *PROCESS_METRICS,
    *REGISTRY_METRICS,
    LOOP_LAG,
    *RAFT_METRICS,
    *BOARD_METRICS,
    *SAFETY_METRICS,
    *MACHINE_METRICS,
    *DOOR_METRICS,
)
"""All that a node exports."""

RETRY_S: Final = 10.0

log = structlog.get_logger("weftmesh.metrics")


class MetricsRoom:
    """Implements `rooms.Room`; serves nothing unless `[metrics] listen` says where.

    Args:
        ground: see Ground.
        names: of the node and of its mesh.
        board: its room.
        auditor: its audits.
        ledger: what left it.
        log_meter: of the mesh's log.
        refusals: what its doors turned away.
    """

    def __init__(
        self,
        ground: Ground,
        names: tuple[str, str],
        board: BoardRoom,
        auditor: Auditor,
        ledger: EgressLedger,
        log_meter: LogMeter,
        refusals: Refusals,
    ) -> None:
        self._listen = ground.config.metrics.listen
        self._lag = LoopLag()
        self._mesh = ground.homes.mesh
        mark = ground.config.node.data_dir / BACKUP_MARK
        registry = Registry()
        for collector in (
            lambda out: out.add(NODE, 1, *names, ground.config.mesh.advertise),
            ProcessCollector(),
            self._lag,
            RaftCollector(self._mesh.engine),
            log_meter,
            BoardCollector(ground.homes, board.servicer, board.queue, board.meter),
            SafetyCollector(ground.identity, auditor, ledger, mark),
            MachineCollector(self._mesh),
            DoorCollector(refusals, self._mesh),
        ):
            registry.add(collector)
        pages = own_pages(registry, self._why_not_ready) | neighbours_pages(ground.config.node.run_dir)
        self._server = HttpServer(pages)

    @property
    def services(self) -> Sequence[Service]:
        """See Room: metrics are no gRPC service."""
        return ()

    def work(self) -> Sequence[Work]:
        """See Room."""
        return (self._serve(),) if self._listen else ()

    async def close(self) -> None:
        """See Room."""
        await self._server.close()

    async def _serve(self) -> None:
        """Serve, and try again where the address is taken: a node does not stop because it cannot be watched."""
        while True:
            try:
                port = await self._server.listen(self._listen)
            except PreconditionError as error:
                log.error("nobody can scrape this node", why=str(error))  # noqa: TRY400, the message says it all
                await asyncio.sleep(RETRY_S)
            else:
                log.info("metrics are served", address=self._listen, port=port)
                await self._lag.run()

    def _why_not_ready(self) -> str:
        status = self._mesh.engine.status()
        if not status.quorum:
            return "no majority of the voters is in reach; see weftmesh members"
        return ""
