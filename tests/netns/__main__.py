"""Measured OLA numbers beside the same from the wire's log, over real windows of five minutes; needs root.

    python -m tests.netns [--windows 1] [--seed N]

Takes that many windows and what is left of the current one. Exits with 0 when both agree, with 1 when they do not, or
something needed is missing under CI=true.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from tests.netns.comparison import table
from tests.netns.lab import missing
from tests.netns.measuring import MeasuringError, measure

console = Console(highlight=False, width=160)


def main() -> None:
    """Parse the command line, measure and compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.netns", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, default=1, help="whole ones; 1 by default")
    parser.add_argument("--seed", type=int, default=1, help="of delays and errors; losses are left to chance")
    arguments = parser.parse_args()
    if arguments.windows < 1:
        parser.error("--windows: at least 1")
    if reason := missing():
        console.print(f"skipped: {reason}")
        sys.exit(1 if os.environ.get("CI") == "true" else 0)
    directory = Path(tempfile.mkdtemp(prefix="weftmesh-netns-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console.print(f"seed {arguments.seed}, up to {5 * (arguments.windows + 1) + 2} minutes, in {directory}")
    try:
        rows, status = asyncio.run(measure(directory, arguments.windows, arguments.seed))
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        sys.exit("interrupted; everything that was made is removed")
    except MeasuringError as error:
        sys.exit(f"{error}; the logs are in {directory}")
    console.print(table(rows))
    console.print(status)
    if not all(one.kept for one in rows):
        sys.exit(f"the numbers differ; the logs are in {directory}")
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
