"""Carries attacks out, some at a time, and says for each kind how it went. In a process of its own: see `__main__`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import resource
import ssl
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.hostile.doors import Certificate, Door
from tests.hostile.inputs import Input, inputs

AT_ONCE: Final = 8
FILES_MAX: Final = 8_192
NICENESS: Final = 15
"""Attackers are other machines: here they may have what processor time is left."""
INPUT_TIMEOUT_S: Final = 30.0


@dataclass
class Tally:
    """What came of the attacks of one kind.

    Attributes:
        inputs: how many.
        doors: how many at each door.
        turned_away: how many could not even connect, or were thrown out of a handshake.
        longest_s: the longest of them.
    """

    inputs: int = 0
    doors: Counter[str] = field(default_factory=Counter)
    turned_away: int = 0
    longest_s: float = 0.0


async def campaign(planned: list[Input]) -> dict[str, Tally]:
    """Carry out every attack; by kind, what came of them."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(planned: Input) -> None:
        async with places:
            tally, began_s = tallies[planned.kind], time.monotonic()
            tally.inputs += 1
            tally.doors[planned.door.name] += 1
            try:
                async with asyncio.timeout(INPUT_TIMEOUT_S):
                    await planned.attack(planned.door, random.Random(planned.seed))
            except (OSError, ssl.SSLError):  # a TimeoutError is one
                tally.turned_away += 1
            tally.longest_s = max(tally.longest_s, time.monotonic() - began_s)

    await asyncio.gather(*(one(each) for each in planned))
    return tallies


def attack(plan: Path, count: int, seed: int) -> None:
    """The attacking process: reads the doors from `plan`, and prints the tallies as JSON."""
    _step_back()
    # It says of each write to a closed connection that it failed, which is what attackers live with.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES_MAX, hard), hard))
    doors = [door_of(row) for row in json.loads(plan.read_text())]
    tallies = asyncio.run(campaign(inputs(doors, count, seed)))
    print(json.dumps({kind: vars(tally) for kind, tally in sorted(tallies.items())}))


def _step_back() -> None:
    """Have what processor time the others leave, in this session and in theirs."""
    os.nice(NICENESS)
    share = Path("/proc/self/autogroup")
    if share.exists():  # then niceness counts within a session alone, and every node has one of its own
        share.write_text(str(NICENESS))


def row_of(door: Door) -> dict[str, Any]:
    """A door for a file."""
    return asdict(door) | {
        "session": _paths(door.session),
        "others": [(what, _paths(certificate)) for what, certificate in door.others],
    }


def door_of(row: dict[str, Any]) -> Door:
    """What `row_of` made a row of."""
    others = tuple((what, _certificate(paths)) for what, paths in row["others"])
    session = _certificate(row["session"]) if row["session"] else None
    return Door(row["name"], row["address"], row["method"], session, others)


def _paths(certificate: Certificate | None) -> list[str] | None:
    return None if certificate is None else [str(certificate.chain), str(certificate.key)]


def _certificate(paths: list[str]) -> Certificate:
    return Certificate(Path(paths[0]), Path(paths[1]))
