"""The units as systemd reads them, without one that runs: systemd-analyze against a root of links."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "systemd"
MANUAL = UNITS.parent / "docs/install.md"
SYSTEM_UNITS = Path("/usr/lib/systemd/system")
PROGRAMS = (
    "bin/kill",
    "usr/bin/weftmesh",
    "usr/bin/weftmeshd",
    "usr/lib/weftmesh/bin/nightly-backup",
    "usr/lib/weftmesh/bin/python",
)
EXPOSURE_MAX = {"weftmesh-router.service": 2.0}
EXPOSURE_MAX_ELSEWHERE = 1.5

NAMES = sorted(path.name for path in UNITS.iterdir() if path.suffix in {".service", ".socket", ".timer", ".target"})
SERVICES = [name for name in NAMES if name.endswith(".service")]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd-analyze is missing: tests/peers/install.sh installs it")
        pytest.skip("systemd-analyze is not here")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def read(name: str) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    unit.read(UNITS / name)
    return unit


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units, the targets that they name, and something in the place of each program."""
    root = tmp_path_factory.mktemp("root")
    directory = root / "usr/lib/systemd/system"
    directory.mkdir(parents=True)
    for path in [*UNITS.glob("weftmesh*.*"), *SYSTEM_UNITS.glob("*.target")]:
        shutil.copy(path, directory, follow_symlinks=False)
    for program in PROGRAMS:
        path = root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    return root


@pytest.mark.parametrize("name", NAMES)
def test_systemd_has_nothing_to_say_against_it(name: str, root: Path) -> None:
    result = analyze("--man=no", f"--root={root}", "verify", name)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_check_notices_a_word_that_systemd_does_not_know(root: Path) -> None:
    broken = root / "usr/lib/systemd/system/weftmesh-broken.service"
    broken.write_text((UNITS / "weftmesh-agent.service").read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyze("--man=no", f"--root={root}", "verify", broken.name).stderr


@pytest.mark.parametrize("name", SERVICES)
def test_little_of_the_system_is_exposed(name: str) -> None:
    limit = EXPOSURE_MAX.get(name, EXPOSURE_MAX_ELSEWHERE)
    result = analyze("security", "--offline=true", f"--threshold={int(limit * 10)}", str(UNITS / name))
    assert result.returncode == 0, result.stdout[-2_000:]


@pytest.mark.parametrize("name", SERVICES)
def test_it_is_a_part_of_the_whole(name: str) -> None:
    unit = read(name)
    assert unit["Service"]["Slice"] == "weftmesh.slice"
    if unit["Service"]["Type"] != "oneshot":
        assert unit["Unit"]["PartOf"] == "weftmesh.target"
        assert unit["Service"]["RestartPreventExitStatus"] == "78"


def test_the_bounds_of_each_service_are_those_that_the_manual_tells() -> None:
    told = re.findall(r"^\| `(weftmesh-\w+)` \|(.*)\|$", MANUAL.read_text(), re.MULTILINE)
    rows = {unit: [cell.strip() for cell in cells.split("|")][:5] for unit, cells in told if cells.count("|") == 5}
    bounds = {name.removesuffix(".service"): read(name)["Service"] for name in SERVICES}
    assert rows == {
        unit: [
            found["User"],
            f"{found['CPUWeight']}, {found['IOWeight']}",
            f"{found.get('MemoryHigh', '')}, {found['MemoryMax']}".strip(),
            found["TasksMax"],
            found.get("LimitNOFILE", ""),
        ]
        for unit, found in bounds.items()
    }


@pytest.mark.parametrize("name", SERVICES)
def test_who_reads_credentials_of_local_callers_is_in_no_user_namespace(name: str) -> None:
    listens = name in {"weftmesh-agent.service", "weftmesh-router.service"}
    assert (read(name)["Service"].get("PrivateUsers") == "yes") is not listens


def test_every_user_of_a_unit_is_made() -> None:
    made = set(re.findall(r"^u (\S+)", (UNITS / "sysusers.conf").read_text(), re.MULTILINE))
    assert {read(name)["Service"]["User"] for name in SERVICES} == made


def test_nothing_is_started_unasked() -> None:
    preset = (UNITS / "weftmesh.preset").read_text()
    installable = {name for name in NAMES if read(name).has_section("Install")}
    assert set(re.findall(r"^disable (\S+)", preset, re.MULTILINE)) == installable
    assert "\nenable " not in preset
