"""A state directory that root may use and the unit may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.cli.doctor.available import can_run
from weftmesh.cli.doctor.findings import Finding, Severity
from weftmesh.cli.doctor.remedies import Remedies
from weftmesh.cli.doctor.unit_bounds import judge_bounds
from weftmesh.cli.session import DEFAULT_CONFIG

PACKAGED = Remedies(DEFAULT_CONFIG, has_unit=True)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """In the place of /var/lib/weftmesh."""
    path = tmp_path / "state"
    path.mkdir()
    return path


def found(data_dir: Path, state: Path, remedies: Remedies = PACKAGED) -> list[Finding]:
    return list(judge_bounds(remedies, data_dir, state=state, units=[state.parent / "units"]))


def drop_in(state: Path, line: str) -> None:
    path = state.parent / "units/weftmesh-agent.service.d/site.conf"
    path.parent.mkdir(parents=True)
    path.write_text(f"[Service]\n{line}\n")


def test_what_the_unit_makes_writable_is_fine(state: Path) -> None:
    assert found(state, state) == []


def test_a_link_in_its_place_is_a_failure_and_is_bound_instead(tmp_path: Path) -> None:
    state, target = tmp_path / "state", tmp_path / "big disk"
    target.mkdir()
    state.symlink_to(target)
    (finding,) = found(state, state)
    assert finding.severity is Severity.FAILURE
    assert f"mount --bind '{target}' {state}" in finding.fixes[0].command
    assert can_run(finding.fixes[0].command, has=lambda _: True)


def test_another_place_needs_a_drop_in(state: Path) -> None:
    (finding,) = found(Path("/data/weftmesh"), state)
    assert (finding.severity, finding.summary) == (Severity.FAILURE, "the unit may not write /data/weftmesh")
    assert r"[Service]\nReadWritePaths=/data/weftmesh\n" in finding.fixes[0].command
    assert can_run(finding.fixes[0].command, has=lambda _: True)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("ReadWritePaths=/data/weftmesh", 0),
        ("ReadWritePaths=-/srv +/data", 0),
        ("ReadWritePaths=/data/weft", 1),
        ("ReadOnlyPaths=/data", 1),
    ],
)
def test_a_drop_in_that_names_it_is_enough(state: Path, line: str, count: int) -> None:
    drop_in(state, line)
    assert len(found(Path("/data/weftmesh"), state)) == count


@pytest.mark.parametrize("config", [DEFAULT_CONFIG, Path("/srv/mesh/weftmesh.toml")])
def test_a_node_that_systemd_does_not_run_is_not_bounded(state: Path, config: Path) -> None:
    assert found(Path("/data/weftmesh"), state, Remedies(config, has_unit=config != DEFAULT_CONFIG)) == []
