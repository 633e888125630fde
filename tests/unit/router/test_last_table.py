"""What is kept on disk comes back, or is set aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.router.agreed_routes import Bench, HandClock, agreement, order
from tests.unit.router.test_agreements import in_force

from weftmesh.core.ola.replicated.rows import OverrideKind
from weftmesh.core.routing.steps import whole
from weftmesh.ola.v1 import ola_pb2
from weftmesh.router.following.agreements import Agreements
from weftmesh.router.following.contact import CONTACT_S, Contact
from weftmesh.router.routes.keeping import Keeping
from weftmesh.router.routes.last_table import FILE_NAME, LastTable
from weftmesh.routing.v1 import kept_pb2


def kept() -> kept_pb2.KeptState:
    return kept_pb2.KeptState(revision=7, heard_ms=1_000, tables=[whole(Bench(agreement()).tables.kept("pay"))])


def test_nothing_was_kept_at_first(tmp_path: Path) -> None:
    assert LastTable(tmp_path).read() is None


def test_what_was_written_is_read(tmp_path: Path) -> None:
    LastTable(tmp_path).write([kept().SerializeToString()])
    assert LastTable(tmp_path).read() == kept()


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: bytes | None) -> None:
    LastTable(tmp_path).write([kept().SerializeToString()])
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    assert LastTable(tmp_path).read() is None
    assert not path.exists()
    assert path.with_suffix(".damaged").exists()


async def test_agreements_tables_and_staleness_come_back_together(tmp_path: Path) -> None:
    bench, agreements = Bench(), Agreements()
    contact = Contact(bench.clock)
    keeping = Keeping(LastTable(tmp_path), agreements, bench.tables, contact)
    assert keeping.restore() == 0
    agreements.take(ola_pb2.AgreementsChange(revision=7, agreements=[in_force(agreement())]))
    bench.want(agreement(), orders=(order(OverrideKind.DRAIN, "e0"),))
    bench.pass_time(15.0)
    contact.heard()
    await keeping.write()

    again, later = Bench(), Agreements()
    again.clock.now_s = bench.clock.now_s + 60.0
    late_contact = Contact(again.clock)
    assert Keeping(LastTable(tmp_path), later, again.tables, late_contact).restore() == 7
    assert again.tables.version("pay") == bench.tables.version("pay")
    assert again.weights() == bench.weights()
    assert late_contact.stale_ms() == pytest.approx(60_000, abs=10)


async def test_a_disk_that_refuses_keeps_nothing_and_stops_nothing(tmp_path: Path) -> None:
    bench = Bench(agreement())
    keeping = Keeping(LastTable(tmp_path / "absent"), Agreements(), bench.tables, Contact(bench.clock))
    bench.want(agreement(endpoints=2))
    await keeping.write()
    (tmp_path / "absent").mkdir()
    await keeping.write()
    found = LastTable(tmp_path / "absent").read()
    assert found is not None
    assert [len(one.rows) for one in found.tables] == [2]


async def test_a_disk_that_goes_on_refusing_is_named_once(tmp_path: Path) -> None:
    bench = Bench(agreement())
    keeping = Keeping(LastTable(tmp_path / "absent"), Agreements(), bench.tables, Contact(bench.clock))
    bench.want(agreement(endpoints=2))
    with capture_logs() as logged:
        for _ in range(5):
            await keeping.write()
        (tmp_path / "absent").mkdir()
        await keeping.write()
    assert [one["log_level"] for one in logged] == ["error", "info"]


def test_staleness_begins_when_nothing_was_heard_for_a_while() -> None:
    clock = HandClock()
    contact = Contact(clock)
    contact.heard()
    clock.now_s += CONTACT_S - 1.0
    assert contact.stale_ms() == 0
    clock.now_s += 2.0
    assert contact.stale_ms() == pytest.approx((CONTACT_S + 1.0) * 1e3, abs=10)
    contact.heard()
    assert contact.stale_ms() == 0
