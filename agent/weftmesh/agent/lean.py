"""To be imported before anything else: structlog would load rich, which serves terminals and costs a daemon 4 MiB."""

from __future__ import annotations

import sys

if "rich" not in sys.modules and "structlog" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # what Python takes for a module that does not exist
    try:
        import structlog as structlog
    finally:
        del sys.modules["rich"]
