"""Real faults on real processes, checked.

    python -m tests.faults [--rounds 3] [--only NAME] [--minutes 10] [--seed N]

Exits with 0 when every promise was kept, with 1 when one was broken, something needed is missing under CI=true, or the
time was up.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.report import Row, console, print_table
from tests.faults.runner import Fault, run_fault

ROUNDS = 3
MINUTES = 10.0
"""Faults share what is left of it; on a slow machine that means fewer rounds, and none for those that come too late."""


async def run_all(faults: Sequence[Fault], rounds: int, seed: int, directory: Path, limit_s: float) -> list[Row]:
    """Let one fault after the other happen; a row for each."""
    ends_at_s = time.monotonic() + limit_s
    rows = []
    for number, fault in enumerate(faults):
        left_s = ends_at_s - time.monotonic()
        row = Row(fault.name)
        rows.append(row)
        if reason := fault.missing():
            row.skipped = reason
        elif left_s <= 0:
            row.skipped, row.failed = "no time was left", True
        else:
            share_s = left_s / (len(faults) - number)
            row.tally = await run_fault(fault, rounds, seed, directory / fault.name, share_s)
            row.took_s = left_s - (ends_at_s - time.monotonic())
        console.print(row.line())
    return rows


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each fault; {ROUNDS} by default")
    parser.add_argument("--only", action="append", choices=[fault.name for fault in FAULTS], help="may be repeated")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"at most; {MINUTES:g} by default")
    parser.add_argument("--seed", type=int, help="of what is left to chance; the schedule of processes is not")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    chosen = [fault for fault in FAULTS if not arguments.only or fault.name in arguments.only]
    directory = Path(tempfile.mkdtemp(prefix="weftmesh-faults-"))
    console.print(f"seed {seed}, {arguments.rounds} rounds of each of {len(chosen)} faults in {directory}")
    # SIGTERM ends a run as Ctrl-C does: the nodes are stopped, the namespaces and mounts removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun_s = time.monotonic()
    try:
        rows = asyncio.run(run_all(chosen, arguments.rounds, seed, directory, arguments.minutes * 60))
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        sys.exit("interrupted; everything that was made is removed")
    print_table(rows, time.monotonic() - begun_s)
    strict = os.environ.get("CI") == "true"
    if any(row.broken or (strict and row.skipped) for row in rows):
        sys.exit(f"the logs of the nodes are in {directory}")
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
