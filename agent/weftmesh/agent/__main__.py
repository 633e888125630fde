"""`weftmeshd`: what has to be so before the daemon is loaded, and the command line."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Final

GC_THRESHOLDS: Final = (20_000, 20, 100)


def main() -> None:
    """Parse the command line and run."""
    config_path = _config_path() if len(sys.argv) > 1 else None
    # A full collection walks every task: rarely, and never because a few requests came and went, or modules came.
    gc.set_threshold(*GC_THRESHOLDS)
    # Loading it is more than half of a start: under these thresholds, and not for the sake of --help.
    from weftmesh.agent.daemon import run

    sys.exit(run(config_path))


def _config_path() -> Path | None:
    # 0.3 MiB and the translations, which a node whose unit gives it no arguments does without.
    import argparse

    parser = argparse.ArgumentParser(prog="weftmeshd", description="Runs one weftmesh node.")
    parser.add_argument("--config", type=Path, help="the configuration file; default /etc/weftmesh/weftmesh.toml")
    path: Path | None = parser.parse_args().config
    return path


if __name__ == "__main__":
    main()
