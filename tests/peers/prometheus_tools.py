"""Where promtool is, or why a test that needs it does not run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

UNPACKED = Path(__file__).resolve().parents[2] / "build/peers/prometheus/usr/bin/promtool"


def promtool() -> str:
    """Its path; a missing one fails under CI and is skipped elsewhere."""
    found = shutil.which("promtool") or (str(UNPACKED) if UNPACKED.exists() else None)
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail("promtool is missing: tests/peers/install.sh installs it")
    pytest.skip("promtool is not here: make peers")
