"""docs/protocol.md knows every service that is in proto/, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SERVICE = re.compile(r"^service (\w+) \{", re.MULTILINE)
NAMED = re.compile(r"`(?:weftmesh\.\w+\.v1\.)?(\w+Service)\b")


def declared() -> set[str]:
    protos = sorted((ROOT / "proto").rglob("*.proto"))
    return {name for proto in protos for name in SERVICE.findall(proto.read_text())}


def test_the_page_names_every_service_and_no_other() -> None:
    assert "BoardService" in declared()
    assert set(NAMED.findall((ROOT / "docs/protocol.md").read_text())) == declared()
