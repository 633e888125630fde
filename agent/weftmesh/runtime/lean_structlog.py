"""Loads structlog without rich and greenlet: import this before structlog in a process that stays.

structlog loads both wherever they are installed: rich for tracebacks that `telemetry` does not ask for, greenlet for
contexts that asyncio does not have. Others need them, so they are there; in a daemon they would take 5 MiB.
"""

from __future__ import annotations

import sys
from typing import Final

_NOT_NEEDED: Final = ("rich", "greenlet")


def _import_structlog() -> None:
    if "structlog" in sys.modules:
        return
    hidden = [name for name in _NOT_NEEDED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # what Python takes for a module that does not exist
    try:
        import structlog  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


_import_structlog()
