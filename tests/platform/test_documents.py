"""What the package brings to be read: links between documents lead somewhere, alerts name what the runbook has."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

SHARE = "usr/share"
DOCUMENTS = f"{SHARE}/doc/weftmesh"
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
RUNBOOK_URL = re.compile(r"runbook_url: file:///([\w./-]+)#([\w-]+)")


@pytest.fixture(scope="module")
def unpacked(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base package's files, below a directory."""
    directory = tmp_path_factory.mktemp("unpacked")
    package = next(packages.rglob("weftmesh-[0-9]*.rpm"))
    archive = subprocess.run(["rpm2cpio", str(package)], capture_output=True, check=True).stdout
    words = ["cpio", "--quiet", "-idm", f"./{SHARE}/*"]
    subprocess.run(words, input=archive, check=True, cwd=directory)
    return directory


def test_links_between_documents_lead_to_what_is_there(unpacked: Path) -> None:
    pages = list((unpacked / DOCUMENTS).rglob("*.md"))
    assert pages
    links = [(page, link) for page in pages for link in LINK.findall(page.read_text())]
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_documents_that_units_name_are_there(tree: Path, unpacked: Path) -> None:
    named = {path for unit in (tree / "systemd").iterdir() for path in re.findall(r"file:///(\S+)", unit.read_text())}
    assert named
    assert [path for path in named if not (unpacked / path).exists()] == []


def test_alerts_name_entries_of_the_runbook(unpacked: Path) -> None:
    named = set(RUNBOOK_URL.findall((unpacked / SHARE / "weftmesh/monitoring/alerts.yml").read_text()))
    assert named
    assert [f"{path}#{anchor}" for path, anchor in named if anchor not in anchors(unpacked / path)] == []


def anchors(page: Path) -> set[str]:
    """What can be linked to in a page."""
    return {re.sub(r"[^\w -]", "", one).strip().lower().replace(" ", "-") for one in HEADING.findall(page.read_text())}
