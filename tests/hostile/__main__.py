"""`python -m tests.hostile`: attacks a mesh of three, and prints what came of it."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.hostile.apart import call
from tests.hostile.assault import assault
from tests.hostile.campaign import attack
from tests.hostile.inputs import ROUTERS
from tests.hostile.report import report
from tests.hostile.sinks import sink


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.set_defaults(part="run", inputs=200, seed=1)
    parser.add_argument("--inputs", type=int, help="how many attacks; default 200")
    parser.add_argument("--seed", type=int, help="of all that is left to chance; default 1")
    parser.add_argument("--router", action="store_true", help="attack the router's doors alone")
    parser.add_argument("--elsewhere", action="store_true", help="attack doors with nobody behind them, to compare")
    parts = parser.add_subparsers(dest="part")
    attacking = parts.add_parser("attack", help="the attackers alone; for the run itself")
    attacking.add_argument("plan", type=Path)
    attacking.add_argument("count", type=int)
    attacking.add_argument("seed", type=int)
    calling = parts.add_parser("honest", help="the honest callers alone; for the run itself")
    calling.add_argument("plan", type=Path)
    sinking = parts.add_parser("sink", help="doors with nobody behind them; for the run itself")
    sinking.add_argument("plan", type=Path)
    arguments = parser.parse_args()
    if arguments.part == "attack":
        attack(arguments.plan, arguments.count, arguments.seed)
        return
    if arguments.part == "honest":
        call(arguments.plan)
        return
    if arguments.part == "sink":
        sink(arguments.plan)
        return
    at = ROUTERS if arguments.router else ()
    with tempfile.TemporaryDirectory(prefix="weftmesh-hostile-") as directory:
        run = assault(Path(directory), arguments.inputs, arguments.seed, at, elsewhere=arguments.elsewhere)
        print(report(asyncio.run(run)))


if __name__ == "__main__":
    main()
