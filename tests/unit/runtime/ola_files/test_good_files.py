from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.core.ola.model import (
    Agreement,
    Dependency,
    Endpoint,
    Exclusion,
    Hours,
    OpenHours,
    OpenTask,
    PacketLoss,
    Probe,
    ProbeKind,
    RaiseClass,
    ResponseTime,
    RouteMode,
    RouteSettings,
    ServiceClass,
    Throughput,
    Uptime,
)
from weftmesh.core.ola.problems import Problem
from weftmesh.runtime.ola_files.findings import Mark
from weftmesh.runtime.ola_files.reading import FileText, load, read_agreements

EXAMPLES = sorted((Path(__file__).resolve().parents[4] / "examples").glob("*.yaml"))
SMALL = """\
apiVersion: weftmesh/v1
kind: OLA
metadata: {name: api}
spec:
  provider: team-a
  consumer: team-b
  service: api
  window: 28d
  objectives: {uptime: 99.9}
"""


def agreement(text: str | bytes) -> Agreement:
    data = text.encode() if isinstance(text, str) else text
    reading = read_agreements([FileText("api.yaml", data)])
    assert not reading.findings, [str(finding) for finding in reading.findings]
    (read,) = reading.agreements
    return read.agreement


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_good(path: Path) -> None:
    reading = read_agreements([load(path)])
    assert not reading.findings
    assert reading.agreements


def test_everything_that_can_be_said() -> None:
    (path,) = (one for one in EXAMPLES if one.name == "payments.ola.yaml")
    assert agreement(path.read_bytes()) == Agreement(
        name="payments-api",
        provider="team-payments",
        consumer="team-checkout",
        service="payments",
        objectives=(
            Uptime(999_500_000),
            ResponseTime(500_000_000, 15_000),
            ResponseTime(990_000_000, 60_000),
            PacketLoss(5_000_000),
            Throughput(999_000_000, 200, 1000),
        ),
        window_s=28 * 86_400,
        service_class=ServiceClass.CRITICAL,
        hours=Hours("Europe/Berlin", (OpenHours((0, 1, 2, 3, 4), 7 * 60, 19 * 60),)),
        probes=(Probe(ProbeKind.HTTP, 1000, 300, "/healthz"), Probe(ProbeKind.ICMP, 500, 200)),
        endpoints=(
            Endpoint("pay-1", "10.0.0.11:8443", 4, "a"),
            Endpoint("pay-2", "10.0.0.12:8443", 4, "b"),
            Endpoint("pay-3", "10.0.0.13:8443", 2, "b"),
        ),
        depends_on=(
            Dependency(("ledger",)),
            Dependency(("rates",), hard=False),
            Dependency(("bank-a", "bank-b")),
            Dependency(("fx",), cached_ppb=900_000_000),
        ),
        route=RouteSettings(RouteMode.OBSERVE, 50),
        on_breach=(RaiseClass(ServiceClass.CRITICAL), OpenTask("OPS", "payments burns its budget")),
        exclusions=(
            Exclusion("weekly patching", "2024-01-01T00:00:00", 7200, "Europe/Berlin", "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2"),
            Exclusion("data centre move", "2027-01-16T20:00:00", 28_800, "Europe/Berlin", author="ann"),
        ),
        review="2027-03-01",
        labels=(("team", "payments"),),
    )


def test_the_order_of_keys_and_the_way_of_writing_change_nothing() -> None:
    head, spec = SMALL.split("spec:\n")
    turned = head + "spec:\n" + "\n".join(reversed(spec.splitlines())) + "\n"
    windows = b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode()
    quoted = SMALL.replace("api", '"api"').replace('"api"Version', "apiVersion").replace("28d", "4w")
    assert (
        agreement(turned) == agreement(windows) == agreement(quoted) == agreement("---\n" + SMALL) == agreement(SMALL)
    )


@pytest.mark.parametrize(
    ("written", "share_ppb"),
    [
        ("99.9", 999_000_000),
        ("99.99999", 999_999_900),
        ("99.9999999", 999_999_999),
        ("99", 990_000_000),
        ("5e1", 500_000_000),
    ],
)
def test_percentages_are_exact(written: str, share_ppb: int) -> None:
    assert agreement(SMALL.replace("99.9}", written + "}")).objectives == (Uptime(share_ppb),)


def test_a_file_and_a_list_may_hold_several_documents() -> None:
    other = SMALL.replace("name: api", "name: other")
    as_list = "".join(f"-\n  {'  '.join(text.splitlines(keepends=True))}" for text in (SMALL, other))
    for text in (SMALL + "---\n" + other + "---\n", as_list):
        reading = read_agreements([FileText("both.yaml", text.encode())])
        assert not reading.findings
        assert [read.agreement.name for read in reading.agreements] == ["api", "other"]


def test_a_problem_of_a_plan_has_a_place_in_the_file() -> None:
    (read,) = read_agreements([FileText("api.yaml", SMALL.encode())]).agreements
    assert read.finding(Problem(("objectives", "uptime"), "too much", "promise less")).mark == Mark(9, 24)
    assert read.finding(Problem(("dependsOn", 0), "a cycle", "break it")).mark == Mark(4, 1)
    assert read.finding(Problem(("metadata", "name"), "taken", "rename it")).mark == Mark(3, 18)


def test_a_name_may_be_given_once_in_all_files() -> None:
    reading = read_agreements([FileText("a.yaml", SMALL.encode()), FileText("b.yaml", SMALL.encode())])
    assert [str(finding.source.name) for finding in reading.errors] == ["b.yaml"]
    assert "a.yaml:3" in reading.errors[0].message
