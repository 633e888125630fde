from __future__ import annotations

import os
from pathlib import Path

import pytest

from weftmesh.core.ola.model import Agreement, Objective, ResponseTime, Uptime
from weftmesh.runtime.ola_files.findings import Code, Severity
from weftmesh.runtime.ola_files.reading import FileText, Reading, load, read_agreements

SHARED = Path(os.environ.get("WEFTMESH_OPENSLO_DATA", Path(__file__).resolve().parents[5] / "shared/data/openslo"))
SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: web
  displayName: The web
  labels: {team: [team-web, other]}
  annotations: {weftmesh/consumer: team-shop}
spec:
  service: web
  indicator:
    spec:
      ratioMetric:
        good: {metricSource: {type: weftmesh, spec: GOOD}}
        total: {metricSource: {type: weftmesh, spec: TOTAL}}
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{OBJECTIVE}]
"""


def slo(good: str = "{metric: requests}", total: str = "{metric: requests}", objective: str = "target: 0.999") -> str:
    return SLO.replace("GOOD", good).replace("TOTAL", total).replace("OBJECTIVE", objective)


def read(*texts: str) -> Reading:
    return read_agreements(FileText(f"{number}.yaml", text.encode()) for number, text in enumerate(texts))


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        (slo(), Uptime(999_000_000)),
        (slo(objective="targetPercent: 99.5"), Uptime(995_000_000)),
        (slo(good="{metric: requests, within: 60ms}"), ResponseTime(999_000_000, 60_000)),
    ],
)
def test_an_slo_is_an_agreement(text: str, objective: Objective) -> None:
    reading = read(text)
    assert not reading.findings
    assert reading.agreements[0].agreement == Agreement(
        "web", "team-web", "team-shop", "web", (objective,), 28 * 86_400
    )


def test_an_indicator_may_be_in_another_file_and_come_later() -> None:
    sli = (
        "{apiVersion: openslo/v1, kind: SLI, metadata: {name: quick}, spec: {ratioMetric: {"
        "good: {metricSource: {type: weftmesh, spec: {metric: requests}}}, "
        "total: {metricSource: {type: weftmesh, spec: {metric: requests}}}}}}"
    )
    before, _, after = slo().partition("  indicator:\n")
    uses = before + "  indicatorRef: quick\n" + after[after.index("  timeWindow") :]
    assert [one.agreement.objectives for one in read(uses, sli).agreements] == [(Uptime(999_000_000),)]
    assert [finding.message for finding in read(uses).errors] == ["there is no SLI quick in these files"]


@pytest.mark.parametrize(
    ("good", "total"),
    [
        ("{metric: requests}", "{metric: packets}"),
        ("{metric: requests}", "{metric: requests, within: 1s}"),
        ("{metric: visits}", "{metric: visits}"),
        ("{metric: requests, code: 200}", "{metric: requests}"),
        ("{metric: requests, within: soon}", "{metric: requests}"),
        ("{}", "{metric: requests}"),
    ],
)
def test_what_is_not_counted_is_refused_by_name(good: str, total: str) -> None:
    (error,) = read(slo(good, total)).errors
    assert error.code == Code.UNSUPPORTED
    assert error.mark.line in (13, 14)


@pytest.mark.parametrize(
    ("written", "instead", "code", "key"),
    [
        ("4w", "5m", Code.UNSUPPORTED, "timeWindow"),
        ("4w", "400d", Code.UNSUPPORTED, "timeWindow"),
        ("4w", "67m", Code.CONTRADICTION, "timeWindow"),
        ("weftmesh/consumer: team-shop", "weftmesh/consumer: ' '", Code.CONTRADICTION, "annotations"),
        ("target: 0.999", "target: 0.99, targetPercent: 99.9", Code.BAD_VALUE, "objectives"),
        ("  indicator:\n", "  indicatorRef: quick\n  indicator:\n", Code.BAD_VALUE, "spec"),
        ("target: 0.999", "target: 0.99900000000000000000000000000000001", Code.BAD_VALUE, "objectives"),
        ("target: 0.999", "targetPercent: 99.900000000000000000000000000000001", Code.BAD_VALUE, "objectives"),
    ],
)
def test_what_an_slo_says_is_neither_guessed_nor_rounded(written: str, instead: str, code: Code, key: str) -> None:
    text = slo().replace(written, instead)
    (error,) = read(text).errors
    assert error.code == code
    assert text.splitlines()[error.mark.line - 1].strip().startswith(key)


def test_two_indicators_of_one_name_are_refused() -> None:
    sli = (
        "{apiVersion: openslo/v1, kind: SLI, metadata: {name: quick}, spec: {ratioMetric: {"
        "good: {metricSource: {type: weftmesh, spec: {metric: requests%s}}}, "
        "total: {metricSource: {type: weftmesh, spec: {metric: requests}}}}}}"
    )
    (error,) = read(sli % "", sli % ", within: 1s").errors
    assert (error.source.name, error.code) == ("1.yaml", Code.DUPLICATE)
    assert "0.yaml:1" in error.message


def test_other_kinds_are_read_and_said_to_change_nothing() -> None:
    unasked = "{apiVersion: openslo/v1, kind: DataSource, metadata: {name: p}, spec: {type: Prometheus}}"
    condition = "{kind: burnrate, op: gte, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}"
    texts = [
        "{apiVersion: openslo/v1, kind: Service, metadata: {name: web}, spec: {description: the web}}",
        unasked,
        "{apiVersion: openslo/v1, kind: AlertCondition, metadata: {name: c}, spec: {severity: page, condition: "
        + condition
        + "}}",
    ]
    findings = read(*texts).findings
    assert [(one.source.name, one.severity, one.code) for one in findings] == [
        ("2.yaml", Severity.WARNING, Code.NO_EFFECT)
    ]


@pytest.mark.skipif(not SHARED.exists(), reason=f"OpenSLO's own examples are not at {SHARED}")
def test_openslos_own_examples_are_taken_or_refused_by_name() -> None:
    found = {path.name: read_agreements([load(path)]) for path in sorted(SHARED.glob("*.yaml"))}
    assert len(found) == 7
    refused = {name for name, reading in found.items() if reading.errors}
    assert refused == {"slos.yaml"}
    errors = found["slos.yaml"].errors
    assert {error.code for error in errors} == {Code.UNSUPPORTED}
    text = (SHARED / "slos.yaml").read_text().splitlines()
    named = [text[error.mark.line - 1].split(":")[0].strip("- ") for error in errors]
    assert named == ["type", "calendar", "budgetingMethod", "op", "timeSliceTarget"]
