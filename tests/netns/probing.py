"""The router's probes and counts without a node: probes what agreement files ask for, and prints what it counted.

    python -m tests.netns.probing --for-s 20 [--stall-ms N] FILE

With --stall-ms something holds the loop for so long, twice a second.

Prints JSON: `until_ns`, the Unix time until which probes counted, and `counts`, good and total by objective.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import uvloop

from weftmesh.core.ola.model import ProbeKind
from weftmesh.router.clock import Clock
from weftmesh.router.counting.counts import WINDOW_MS, Counting, InForce
from weftmesh.router.following.agreements import Followed
from weftmesh.router.following.wanted import wanted_routes
from weftmesh.router.probing.answers import Prober
from weftmesh.router.probing.http import HttpProber
from weftmesh.router.probing.icmp import IcmpProber
from weftmesh.router.probing.scheduling import Probing
from weftmesh.router.probing.tcp import TcpProber
from weftmesh.runtime.lanes.cooperative import Lanes
from weftmesh.runtime.ola_files.reading import load, read_agreements
from weftmesh.runtime.telemetry import configure_logging

STALL_EVERY_S = 0.5


async def probe(path: Path, for_s: float, stall_s: float) -> dict[str, object]:
    """Probe for some time, then close every window as if it were over."""
    found = [one.agreement for one in read_agreements([load(path)]).agreements]
    counting = Counting()
    counting.set_agreements([InForce.of(one, 1) for one in found])
    probers: dict[ProbeKind, Prober] = {
        ProbeKind.ICMP: IcmpProber(),
        ProbeKind.TCP: TcpProber(),
        ProbeKind.HTTP: HttpProber(None),
    }
    probing = Probing(Lanes(), counting, Clock(), random.Random(1), probers)
    probing.follow(wanted_routes([Followed(one, 1, one.service_class) for one in found], []))
    with suppress(TimeoutError):
        async with asyncio.timeout(for_s), asyncio.TaskGroup() as tasks:
            tasks.create_task(probing.run())
            tasks.create_task(stall(stall_s))
    until_ns = time.time_ns()
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for window in counting.close(until_ns // 1_000_000 + WINDOW_MS):
        for count in window.counts:
            pair = sums[f"{count.name} {count.objective}"]
            pair[0] += count.good
            pair[1] += count.total
    return {"until_ns": until_ns, "counts": sums}


async def stall(stall_s: float) -> None:
    """Hold the loop now and then."""
    while stall_s:
        await asyncio.sleep(STALL_EVERY_S)
        time.sleep(stall_s)  # noqa: ASYNC251, that is the point


def main() -> None:
    """Parse the command line and probe."""
    parser = argparse.ArgumentParser(prog="python -m tests.netns.probing")
    parser.add_argument("--for-s", type=float, required=True)
    parser.add_argument("--stall-ms", type=float, default=0.0)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    configure_logging("warning", "console")
    print(json.dumps(uvloop.run(probe(arguments.file, arguments.for_s, arguments.stall_ms / 1e3))))


if __name__ == "__main__":
    main()
