"""Alerts, the dashboard, docs/metrics.md and docs/runbook.md speak of the metrics that processes export, and of all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from weftmesh.agent.metrics.room import NODE_METRICS
from weftmesh.cli.doctor import bluetooth, checkup, configuration, selinux
from weftmesh.cli.doctor.available import can_run
from weftmesh.coordinator.metrics import COORDINATOR_METRICS
from weftmesh.learner.metrics import LEARNER_METRICS
from weftmesh.router.metrics import ROUTER_METRICS
from weftmesh.runtime.metrics.model import Kind, Metric

ROOT = Path(__file__).resolve().parents[4]
MONITORING = ROOT / "packaging/monitoring"
CATALOGUES = (NODE_METRICS, ROUTER_METRICS, COORDINATOR_METRICS, LEARNER_METRICS)
EVERY = {metric for catalogue in CATALOGUES for metric in catalogue}
NAME = re.compile(r"\b(?:weftmesh|process)_[a-z0-9_]+")
SELECTOR = re.compile(r"\b((?:weftmesh|process)_[a-z0-9_]+)\{([^}]*)\}")
TARGET_LABELS = {"job", "instance", "mesh", "le"}


def samples() -> dict[str, Metric]:
    """Every name that a query may use."""
    found = {}
    for metric in EVERY:
        parts = ("_bucket", "_count", "_sum") if metric.kind is Kind.HISTOGRAM else ("",)
        found.update({metric.sample_name + part: metric for part in parts})
    return found


def alerts() -> list[dict[str, Any]]:
    text = (MONITORING / "alerts.yml").read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def dashboard_queries() -> Iterator[str]:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query")


def queries() -> list[str]:
    return [*(rule["expr"] for rule in alerts()), *dashboard_queries()]


def test_a_name_means_the_same_in_every_process() -> None:
    names = [metric.name for metric in EVERY]
    assert len(names) == len(set(names))


def test_queries_name_what_is_exported() -> None:
    known = samples()
    unknown = {name for query in queries() for name in NAME.findall(query)} - known.keys()
    assert not unknown


def test_queries_select_by_labels_that_are_there() -> None:
    known = samples()
    wrong = [
        (name, label)
        for query in queries()
        for name, inside in SELECTOR.findall(query)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)
        if label not in TARGET_LABELS | set(known[name].labels)
    ]
    assert not wrong


def test_the_dashboard_shows_every_metric_or_an_alert_watches_it() -> None:
    seen = {name for query in queries() for name in NAME.findall(query)}
    unseen = {metric.name for name, metric in samples().items()} - {samples()[name].name for name in seen}
    assert unseen == SHOWN_NOWHERE


SHOWN_NOWHERE = {
    # For a look at one node, or for queries of one's own.
    *("weftmesh_raft_term", "weftmesh_raft_last_index", "weftmesh_raft_voters", "weftmesh_raft_observers"),
    *("weftmesh_raft_pending_proposals", "weftmesh_board_revision", "weftmesh_snapshots_written"),
    *("weftmesh_audit_writes", "weftmesh_audit_duration_seconds", "weftmesh_egress_records"),
    *("weftmesh_learning_jobs", "weftmesh_learning_active_version", "weftmesh_feature_level"),
    *("weftmesh_feature_level_supported", "weftmesh_router_routes", "weftmesh_coordinator_leads"),
    *("weftmesh_learner_questions", "process_virtual_memory_bytes"),
}


def test_every_alert_says_what_it_is_about_and_has_a_test() -> None:
    files = [yaml.safe_load(path.read_text()) for path in MONITORING.glob("alerts*_test.yml")]
    rules = alerts()
    assert sorted(one["name"] for file in files for one in file["tests"]) == sorted(rule["alert"] for rule in rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook_url"].endswith(f"runbook.md#{rule['alert'].lower()}")


def headings(path: Path, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", path.read_text(), re.M)


def test_the_runbook_has_an_entry_for_every_alert_and_every_check_of_doctor_and_no_other() -> None:
    entries = headings(ROOT / "docs/runbook.md", 3)
    names = (configuration.CHECK, selinux.CHECK, bluetooth.CHECK, *checkup.NEED_CONFIG)
    checks = {f"doctor: {name}" for name in names}
    assert sorted(entries) == sorted({rule["alert"] for rule in alerts()} | checks)


def test_the_entries_of_the_runbook_have_all_their_parts() -> None:
    text = (ROOT / "docs/runbook.md").read_text()
    for entry in re.split(r"^### ", text, flags=re.M)[1:]:
        name, body = entry.split("\n", 1)
        for part in ("**Means**", "**Look**", "**Do**", "**Worry**"):
            assert part in body.split("\n## ")[0], f"{name} lacks {part}"


def test_the_page_lists_every_metric_as_it_is_exported() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z, ]+) \| (.*?) \| (.*) \|$", text, re.M)
    listed = {(name, kind, labels, what) for name, kind, labels, what in rows}
    assert listed == {
        (
            metric.sample_name,
            f"{metric.kind.value}, {metric.unit}" if metric.unit else metric.kind.value,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.help,
        )
        for metric in EVERY
    }


def test_the_commands_of_the_runbook_exist() -> None:
    found = re.findall(r"`(weftmesh [^`]+)`", (ROOT / "docs/runbook.md").read_text())
    assert len(found) > 20
    groups = {"weftmesh members"}  # which lists them, without a further word
    assert [one for one in found if not can_run(one, has=lambda _: True) and one not in groups] == []
