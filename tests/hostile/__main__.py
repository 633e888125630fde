"""`python -m tests.hostile`: attacks a mesh of three, and prints what came of it."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.hostile.assault import assault
from tests.hostile.campaign import attack
from tests.hostile.inputs import ROUTERS
from tests.hostile.report import report


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.set_defaults(part="run", inputs=200, seed=1)
    parser.add_argument("--inputs", type=int, help="how many attacks; default 200")
    parser.add_argument("--seed", type=int, help="of all that is left to chance; default 1")
    parser.add_argument("--router", action="store_true", help="attack the router's doors alone")
    parts = parser.add_subparsers(dest="part")
    attacking = parts.add_parser("attack", help="the attackers alone; for the run itself")
    attacking.add_argument("plan", type=Path)
    attacking.add_argument("count", type=int)
    attacking.add_argument("seed", type=int)
    arguments = parser.parse_args()
    if arguments.part == "attack":
        attack(arguments.plan, arguments.count, arguments.seed)
        return
    at = ROUTERS if arguments.router else ()
    with tempfile.TemporaryDirectory(prefix="weftmesh-hostile-") as directory:
        print(report(asyncio.run(assault(Path(directory), arguments.inputs, arguments.seed, at))))


if __name__ == "__main__":
    main()
