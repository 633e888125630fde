"""The packages themselves: the same every time, small, said of what they are made."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.platform.builds import ROOT, build, policy_options

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

FILTERS = ROOT / "packaging/rpm/weftmesh.rpmlintrc"
BASE_BYTES_MAX = 40 * 1024 * 1024


@pytest.fixture
def base(packages: Path) -> Path:
    return next(packages.rglob("weftmesh-[0-9]*.rpm"))


def query(package: Path, *options: str) -> list[str]:
    words = ["rpm", "-qp", "--nosignature", *options, str(package)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


def content(package: Path, path: str) -> str:
    """One file out of a package."""
    unpacked = subprocess.run(["rpm2cpio", str(package)], capture_output=True, check=True).stdout
    words = ["cpio", "--quiet", "-i", "--to-stdout", f".{path}"]
    return subprocess.run(words, input=unpacked, capture_output=True, check=True).stdout.decode()


def test_two_builds_are_alike(packages: Path, tree: Path, python: Path, tmp_path: Path) -> None:
    second = build(tree, tmp_path / "again", python, *policy_options())
    first = {path.name: path.read_bytes() for path in packages.rglob("*.rpm")}
    again = {path.name: path.read_bytes() for path in second.rglob("*.rpm")}
    assert first.keys() == again.keys()
    assert [name for name in first if first[name] != again[name]] == []


def test_the_base_package_is_small(base: Path) -> None:
    print(f"{base.name}: {base.stat().st_size / 2**20:.1f} MiB")
    assert base.stat().st_size <= BASE_BYTES_MAX


def test_it_owns_up_to_what_it_bundles_and_needs_no_more_than_python(base: Path, tree: Path) -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (tree / "requirements/base.txt").read_text(), re.MULTILINE))
    provided = {
        tuple(row)
        for row in re.findall(r"bundled\(python3dist\((.+)\)\) = (\S+)", "\n".join(query(base, "--provides")))
    }
    assert provided == locked
    bill = json.loads(content(base, "/usr/share/weftmesh/weftmesh.cdx.json"))
    assert {(one["name"], one["version"]) for one in bill["components"]} == locked
    needed = {line.split()[0] for line in query(base, "--requires") if not line.startswith("rpmlib(")}
    assert needed == {"/bin/sh", "/usr/bin/python3.12", "/usr/lib/weftmesh/bin/python", "config(weftmesh)", "systemd"}


def test_the_learner_s_libraries_are_not_in_the_base(base: Path) -> None:
    assert [path for path in query(base, "--list") if re.search(r"/site-packages/(numpy|flwr)", path)] == []


def test_rpmlint_finds_nothing_that_has_no_reason(packages: Path) -> None:
    words = ["rpmlint", "--rpmlintrc", str(FILTERS), *map(str, packages.rglob("*.rpm"))]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    said = [line for line in found.stdout.splitlines() if re.match(r"\S+ [EW]: ", line)]
    assert said == [], found.stderr
