"""A build says which version it is."""

from __future__ import annotations

import tomllib
from pathlib import Path

from weftmesh.runtime.version import VERSION

ROOT = Path(__file__).resolve().parents[3]


def test_it_is_the_version_of_the_project() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
