"""One router, put together: what hears, what decides, what keeps, and what answers."""

from __future__ import annotations

import asyncio
import os
import random

import structlog

from weftmesh.client import connect
from weftmesh.core.ola.model import ProbeKind
from weftmesh.ola.v1 import ola_pb2
from weftmesh.router.clock import Clock
from weftmesh.router.config import RouterConfig
from weftmesh.router.counting.burning import PART_S, Burning
from weftmesh.router.counting.counts import Counting
from weftmesh.router.counting.node_records import NodeRecords
from weftmesh.router.counting.window_store import WindowStore
from weftmesh.router.counting.windows import Windows
from weftmesh.router.following.agreements import Agreements
from weftmesh.router.following.applying import Applying
from weftmesh.router.following.certificate import Certificate
from weftmesh.router.following.contact import Contact
from weftmesh.router.following.following import Following
from weftmesh.router.following.standing import Standing
from weftmesh.router.metrics import RouterCollector, RouterMeter
from weftmesh.router.probing.health import HealthProber
from weftmesh.router.probing.http import HttpProber
from weftmesh.router.probing.icmp import IcmpProber
from weftmesh.router.probing.in_lane import ProbingInLane
from weftmesh.router.probing.names import Names
from weftmesh.router.probing.scheduling import Probing
from weftmesh.router.probing.tcp import TcpProber
from weftmesh.router.routes.deciding import Deciding
from weftmesh.router.routes.decision_log import DecisionLog
from weftmesh.router.routes.keeping import Keeping
from weftmesh.router.routes.last_table import LastTable
from weftmesh.router.routes.tables import Tables
from weftmesh.router.samples import Sample
from weftmesh.router.serving.guard import Guard
from weftmesh.router.serving.lane_views import lanes_view
from weftmesh.router.serving.reports import Reports
from weftmesh.router.serving.server import Serving
from weftmesh.router.serving.service import RoutingService
from weftmesh.router.serving.tickets import Tickets
from weftmesh.router.serving.watching import Watching
from weftmesh.router.xds.server import XdsServer
from weftmesh.router.xds_feed import XdsFeed
from weftmesh.routing.v1 import routing_pb2
from weftmesh.runtime.doors.metrics import RefusalCollector
from weftmesh.runtime.lanes.cooperative import Lanes
from weftmesh.runtime.metrics.beside import served_beside
from weftmesh.runtime.notify import notify
from weftmesh.runtime.watchdog import keep_beating, watchdog_limit_s

CONNECT_TIMEOUT_S = 10.0
_log = structlog.get_logger("weftmesh.router")


class Router:
    """A router, from its first breath to its last. Belongs to one running loop.

    Args:
        config: of the process.
        rng: for choices, jitter and pauses.

    Raises:
        WeftmeshError: a file that the configuration names cannot be used.
        OSError: the state directory cannot be used.
    """

    def __init__(self, config: RouterConfig, rng: random.Random) -> None:
        self._config = config
        self._clock = Clock()
        self._decision_log = DecisionLog(config.state_dir / "decisions")
        self._tables = Tables(self._clock, rng, self._decision_log)
        self._agreements = Agreements()
        self._contact = Contact(self._clock)
        self._certificate = Certificate(config.identity) if config.xds and config.identity is not None else None
        self._standing = self._standing_of_callers()
        self._keeping = Keeping(LastTable(config.state_dir), self._agreements, self._tables, self._contact)
        self._following = Following(
            lambda: connect(config.socket, timeout_s=CONNECT_TIMEOUT_S, wait=True),
            self._take_change,
            self._contact.heard,
            rng,
            self._keeping.restore(),
            self._standing,
        )
        store = WindowStore(config.state_dir / "windows")
        self._counting = Counting(store.open_counts())
        records = NodeRecords(self._following)
        self._windows = Windows(records, self._counting, store, self._clock.wall_ms, rng)
        self._lanes = Lanes()
        self._burning = Burning()
        self._meter = RouterMeter()
        self._names = Names()
        probing = Probing(self._lanes, self, self._clock, rng, _probers(config, self._names))
        self._probing = ProbingInLane(probing, self, config.probe_ca) if config.critical_lane else probing
        self._tickets = Tickets(self._abandon)
        self._deciding = Deciding(self._tables, self._tickets, self._lanes, self._clock)
        cluster = self._certificate.identity.cluster if self._certificate is not None else None
        sockets = (config.listen, config.xds_socket)
        self._guard = Guard(config.limits, cluster, lambda: {self._xds.port} - {0}, sockets)
        self._serving = Serving(config.listen, config.group, self._service(), self._guard)
        self._xds = self._xds_server()
        self._applying = Applying(self._agreements, self._tables, self._probing, self._counting, self._burning)
        if self._agreements.revision:
            self._applying.begin()

    async def run(self) -> None:
        """Go on until cancelled.

        Raises:
            WeftmeshError: a socket cannot be listened on.
        """
        try:
            await self._serving.start()
            await self._xds.start()
            feed = XdsFeed(self._tables, self._xds, self._names)
            _log.info("the router answers", socket=str(self._config.listen), routes=len(self._tables.names()))
            notify("READY=1")
            told = RouterCollector(self._tables, self._contact, self._decision_log, self._lanes)
            refused = RefusalCollector(self._guard.refusals)
            async with served_beside(self._config.metrics, (told, self._meter, refused)), asyncio.TaskGroup() as tasks:
                tasks.create_task(keep_beating(watchdog_limit_s(os.environ)), name="Watchdog")
                for part in (self._following, self._probing, self._deciding, self._keeping, self._windows, feed):
                    tasks.create_task(part.run(), name=type(part).__name__)
                tasks.create_task(self._guard.doorkeeper.run(), name="Doorkeeper")
                tasks.create_task(self._recalibrate(), name="Burning")
                if self._certificate is not None:
                    tasks.create_task(self._certificate.run(), name="Certificate")
        finally:
            await self._end()

    def take(self, sample: Sample) -> None:
        """Hand a sample to the tables and to the counts; implements `samples.Samples`."""
        self._tables.take(sample)
        self._counting.take(sample)
        self._burning.take(sample)
        self._meter.take(sample)

    async def _recalibrate(self) -> None:
        """Tell the lanes how fast services spend their budgets: the jobs of one that burns its own move up a class."""
        while True:
            for service, rate in self._burning.rates(self._clock.monotonic_s()).items():
                self._lanes.burned(service, rate)
            await asyncio.sleep(PART_S)

    async def _end(self) -> None:
        await self._serving.stop()
        await self._xds.stop()
        await self._lanes.stop()
        await self._keeping.write()
        try:
            await self._windows.save()
        except OSError as error:
            _log.error("what was counted since the last save is lost", why=str(error))
        await asyncio.to_thread(self._decision_log.close)

    async def _take_change(self, change: ola_pb2.AgreementsChange) -> None:
        await self._applying.take(change)

    def _abandon(self, route: str, endpoint: str) -> None:
        live = self._tables.live(route)
        if live is not None:
            live.abandoned(endpoint)

    def _standing_of_callers(self) -> Standing | None:
        certificate = self._certificate
        if certificate is None:
            return None
        return Standing(self._config.state_dir, lambda: certificate.identity.material)

    def _xds_server(self) -> XdsServer:
        config = self._config
        server = XdsServer(
            self,
            guard=self._guard,
            socket=config.xds_socket,
            group=config.group,
            listen=config.xds or None,
            identity=self._certificate.identity if self._certificate is not None else None,
            gate=self._standing,
        )
        if self._standing is not None:
            self._standing.on_change(server.recheck)
        if self._certificate is not None:
            self._certificate.changed = server.recheck
        return server

    def _service(self) -> RoutingService:
        return RoutingService(
            self._tables,
            self._tickets,
            Reports(self._tables, self._tickets, self, self._clock),
            Watching(self._tables, self._contact),
            self._contact,
            self._clock,
            self._probing.states,
            self._lanes_view,
            lambda route, after: [one for one in self._tables.decisions(route) if one.number > after],
            self._meter.resolve_times,
        )

    def _lanes_view(self) -> routing_pb2.Lanes:
        critical = self._probing.lane() if isinstance(self._probing, ProbingInLane) else None
        return lanes_view(self._lanes, critical)


def _probers(config: RouterConfig, names: Names) -> dict[ProbeKind, TcpProber | HttpProber | HealthProber | IcmpProber]:
    return {
        ProbeKind.TCP: TcpProber(names),
        ProbeKind.HTTP: HttpProber(names, config.probe_ca),
        ProbeKind.GRPC: HealthProber(config.probe_ca),
        ProbeKind.ICMP: IcmpProber(names),
    }
