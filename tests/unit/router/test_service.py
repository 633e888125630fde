"""The router's calls over its real socket."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.router.agreed_routes import Bench, agreement, order
from tests.unit.router.turns import Turns

from weftmesh.client.routing import RoutingApi, connect_router, router_target
from weftmesh.client.target import open_channel
from weftmesh.core.errors import ConfigError, NotFoundError, PreconditionError
from weftmesh.core.ola.model import RouteMode
from weftmesh.core.ola.replicated.rows import OverrideKind
from weftmesh.router.config import default_limits
from weftmesh.router.following.contact import Contact
from weftmesh.router.serving.guard import Guard
from weftmesh.router.serving.reports import Reports
from weftmesh.router.serving.server import Serving
from weftmesh.router.serving.service import RoutingService
from weftmesh.router.serving.tickets import Tickets
from weftmesh.router.serving.watching import Watching
from weftmesh.routing.v1 import routing_pb2, routing_pb2_grpc

WAIT_S = 30.0


def no_probes(_route: str) -> Iterator[routing_pb2.ProbeState]:
    yield routing_pb2.ProbeState(endpoint="e0", problem="not allowed; allow it")


@asynccontextmanager
async def served(bench: Bench, directory: Path) -> AsyncIterator[RoutingApi]:
    tickets = Tickets(lambda _route, _endpoint: None)
    contact = Contact(bench.clock)
    contact.heard()
    service = RoutingService(
        bench.tables,
        tickets,
        Reports(bench.tables, tickets, bench.tables, bench.clock),
        Watching(bench.tables, contact),
        contact,
        bench.clock,
        no_probes,
        routing_pb2.Lanes,
        lambda route, after: [one for one in bench.tables.decisions(route) if one.number > after],
    )
    path = directory / "router.sock"
    serving = Serving(path, "", service, Guard(default_limits(), None, set, ()))
    try:
        await serving.start()
        async with connect_router(str(path)) as router:
            yield router
    finally:
        await serving.stop()


async def next_table(tables: AsyncIterator[routing_pb2.RouteTable]) -> routing_pb2.RouteTable:
    return await asyncio.wait_for(anext(tables), WAIT_S)


async def test_resolve_says_where_and_by_what(tmp_path: Path) -> None:
    bench = Bench(agreement())
    async with served(bench, tmp_path) as router:
        found = await router.resolve("pay")
        assert (found.address, found.basis) == (f"127.0.0.1:800{found.endpoint[1]}", routing_pb2.BASIS_COST)
        assert (found.ticket, found.stale_ms) == (0, 0)
        assert (await router.resolve("pay", avoid=["e0", "e1"])).endpoint == "e2"
        bench.want(agreement(mode=RouteMode.SUGGEST))
        assert (await router.resolve("pay")).basis == routing_pb2.BASIS_WEIGHTS
        with pytest.raises(NotFoundError, match="no route 'other'"):
            await router.resolve("other")


async def test_staleness_is_in_every_answer(tmp_path: Path) -> None:
    bench = Bench(agreement())
    async with served(bench, tmp_path) as router:
        bench.clock.now_s += 60.0
        assert (await router.resolve("pay")).stale_ms == pytest.approx(60_000, abs=10)
        assert (await router.get_routes())[0].stale_ms == pytest.approx(60_000, abs=10)


async def test_a_watcher_sees_every_route_and_each_change(tmp_path: Path) -> None:
    bench = Bench(agreement(), agreement("b", service="b"))
    async with served(bench, tmp_path) as router:
        every, one = router.watch_routes(), router.watch_routes(["pay", "absent"])
        assert {(await next_table(every)).route for _ in range(2)} == {"pay", "b"}
        first = [await next_table(one) for _ in range(2)]
        assert [(table.route, table.removed) for table in first] == [("pay", False), ("absent", True)]
        bench.want(agreement(), orders=(order(OverrideKind.FREEZE),))
        changes = {table.route: table for table in [await next_table(every) for _ in range(2)]}
        assert changes["pay"].frozen
        assert changes["b"].removed
        assert (await next_table(one)).frozen


async def test_reports_count_and_what_is_wrong_stops_none(tmp_path: Path) -> None:
    bench = Bench(agreement())
    async with served(bench, tmp_path) as router:
        good = routing_pb2.RequestReport(route="pay", endpoint="e0", ok=True, latency_us=5_000)
        wrong = routing_pb2.RequestReport(route="pay", endpoint="e9", ok=True)
        answer = await router.report_now([good, wrong] * 200)
        assert (answer.taken, answer.refused) == (200, 200)
        assert "no endpoint 'e9'" in answer.first_refusal


async def test_reports_that_nobody_waits_for_arrive(tmp_path: Path) -> None:
    bench = Bench(agreement())
    async with served(bench, tmp_path) as router:
        for _ in range(50):
            router.report(routing_pb2.RequestReport(route="pay", endpoint="e0", ok=False))
        async with asyncio.timeout(WAIT_S):
            samples = 0.0
            while samples < 40.0:
                samples = (await router.explain_route("pay")).readings[0].samples


async def test_an_explanation_has_all_that_the_table_follows_from(tmp_path: Path) -> None:
    bench = Bench(agreement(), orders=(order(OverrideKind.DRAIN, "e0"), order(OverrideKind.DRAIN, "e9")))
    async with served(bench, tmp_path) as router:
        found = await router.explain_route("pay")
        assert [one.endpoint for one in found.orders] == ["e0"]
        assert "no endpoint 'e9'" in found.refused[0]
        assert len(found.readings) == len(found.table.rows) == 3
        assert found.probes[0].problem == "not allowed; allow it"
        assert found.settings.threshold_s == 0.06
        assert "drain e0 by ann@node1: a test" in found.story
        decisions = await router.get_decisions("pay", after=1)
        assert [one.number for one in decisions] == list(range(2, 2 + len(decisions)))


async def test_the_socket_is_for_its_group_and_for_one_router(tmp_path: Path) -> None:
    bench = Bench(agreement())
    async with served(bench, tmp_path):
        path = tmp_path / "router.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(PreconditionError, match="another router listens"):
            async with served(bench, tmp_path):
                pass
        assert path.exists(), "it is not for the second one to remove"
    assert not path.exists()


async def test_a_group_that_is_not_there_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    bench = Bench()
    contact, tickets = Contact(bench.clock), Tickets(lambda _route, _endpoint: None)
    service = RoutingService(
        bench.tables,
        tickets,
        Reports(bench.tables, tickets, bench.tables, bench.clock),
        Watching(bench.tables, contact),
        contact,
        bench.clock,
        no_probes,
        routing_pb2.Lanes,
        lambda _route, _after: [],
    )
    serving = Serving(tmp_path / "router.sock", "no-such-group-here", service, Guard(default_limits(), None, set, ()))
    with pytest.raises(ConfigError, match="no-such-group-here"):
        await serving.start()
    await serving.stop()


def test_the_router_listens_beside_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEFTMESH_ROUTER_SOCKET", raising=False)
    assert router_target("/run/weftmesh/api.sock") == "/run/weftmesh/router.sock"
    assert router_target("unix:/run/weftmesh/api.sock") == "/run/weftmesh/router.sock"
    monkeypatch.setenv("WEFTMESH_ROUTER_SOCKET", "/elsewhere.sock")
    assert router_target("/run/weftmesh/api.sock") == "/elsewhere.sock"


async def test_a_long_message_of_reports_does_not_hold_the_loop(tmp_path: Path) -> None:
    async with served(Bench(agreement()), tmp_path):
        one = routing_pb2.RequestReport(route="pay", endpoint="e0", ok=True, latency_us=1_000)
        turns = Turns()
        async with open_channel(str(tmp_path / "router.sock"), None) as channel:
            stub = routing_pb2_grpc.RoutingServiceStub(channel)
            answer = await stub.Report(iter([routing_pb2.ReportRequest(reports=[one] * 40_000)]))
        assert answer.taken == 40_000
        await turns.stop()
        assert turns.longest_s < turns.whole_s / 2


async def test_many_who_watch_do_not_hold_the_loop() -> None:
    bench = Bench(agreement())
    contact = Contact(bench.clock)
    watching = Watching(bench.tables, contact)
    streams = [watching.watch(()) for _ in range(100)]
    turns = Turns()
    await asyncio.gather(*(anext(one) for one in streams))
    assert await turns.stop() >= 100
