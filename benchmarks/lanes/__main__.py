"""Lanes on a machine that is full; writes build/bench/lanes.json.

Run as `python -m benchmarks.lanes [--seconds 10] [--busy 4]`. Busy processes run for 20 s at the most.
"""

from __future__ import annotations

import argparse
from typing import Final

import uvloop

from benchmarks import report
from benchmarks.lanes import critical, overload, spawning
from benchmarks.lanes.busy import BUSY_S_MAX
from benchmarks.report import Row

SECONDS: Final = 10.0


async def _measure(seconds: float, busy: int) -> list[Row]:
    with_rr, without = await critical.measure(seconds, busy)
    if not with_rr.status.real_time:
        print(f"critical lane: {with_rr.status.why}")
    return [
        *critical.rows(with_rr, without, busy),
        *overload.rows(await overload.measure(seconds)),
        *await spawning.rows(),
    ]


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each part")
    parser.add_argument("--busy", type=int, default=4, help="processes that use all they get")
    options = parser.parse_args()
    if not 0 < options.seconds <= BUSY_S_MAX - 2:
        parser.error(f"--seconds: above 0, at most {BUSY_S_MAX - 2}")
    measured_on = report.machine()
    rows = uvloop.run(_measure(options.seconds, options.busy))
    for one in rows:
        peer = f"{one.peer} {one.peer_value:,.3f}" if one.peer is not None else ""
        print(f"{one.row:34} {one.metric:42} {one.value:10,.3f} {one.unit:3} {peer}")
    print(f"\n{report.write('lanes', rows, measured_on)}")


if __name__ == "__main__":
    main()
