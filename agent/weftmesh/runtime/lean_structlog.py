"""Loads structlog without rich: import this before structlog in a process that stays.

structlog loads rich wherever it is installed, for tracebacks that `telemetry` does not ask for. The command line needs
rich, so it is there; in a daemon it would take 4 MiB and 66 modules.
"""

from __future__ import annotations

import sys


def _import_structlog() -> None:
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # what Python takes for: this import fails
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


_import_structlog()
