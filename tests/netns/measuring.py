"""One run with real windows: a node, its router where the prober is, and the lab; then both sides' counts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.integration.command_line import done
from tests.netns.comparison import Compared
from tests.netns.lab import STOP_S, Lab, lab
from tests.netns.promises import ADDRESSES, CONNECTION_TIMEOUT_MS, PING_TIMEOUT_MS, PLANS, PROMISES
from tests.netns.recomputation import Count, Probed, probed

from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.cli.dev_node import DevNode

WINDOW_S = 300
RECORDED_S = 90.0
"""After a window's end it is recorded and confirmed within so long, on a machine that has other things to do."""
POLL_S = 2.0
_S_NS = 1_000_000_000

Counts = dict[tuple[str, str], Count]
"""By agreement and objective."""


class MeasuringError(Exception):
    """The run came to nothing."""


async def measure(directory: Path, windows: int, seed: int) -> tuple[list[Compared], str]:
    """Let a router probe for so many whole windows, and the part of one before; what came out, and `ola status`.

    Args:
        directory: for the node, the router and their logs.
        windows: at least one.
        seed: of the lab.

    Raises:
        MeasuringError: the router ended, or its counts did not come.
    """
    with lab(PLANS, seed=seed, addresses=ADDRESSES) as made:
        async with dev_mesh(directory, 1) as mesh:
            await _apply(mesh.first, made, directory)
            with _router(mesh.first, made, directory / "router") as router:
                first_s = int(time.time()) // WINDOW_S * WINDOW_S
                starts_s = [first_s + number * WINDOW_S for number in range(windows + 1)]
                await _recorded(mesh.first, router, starts_s[-1])
            made.unplug()
            by_window = [(window_s, WINDOW_S, await _counted(mesh.first, window_s)) for window_s in starts_s]
            together = (starts_s[0], WINDOW_S * len(starts_s), await _attained(mesh.first))
            status = await done(mesh.first, "ola", "status")
        probes = probed(made.captures, PING_TIMEOUT_MS, CONNECTION_TIMEOUT_MS)
        return [row for span in (*by_window, together) for row in compared(made, probes, *span)], status


def compared(made: Lab, probes: Sequence[Probed], starts_s: int, span_s: int, measured: Counts) -> Iterator[Compared]:
    """Every objective in a span of time; what one side does not know has no events there."""
    begin, end = (datetime.fromtimestamp(at_s, UTC).strftime("%H:%M") for at_s in (starts_s, starts_s + span_s))
    for promise in PROMISES:
        logged = promise.in_log(made).counts(probes, starts_s * _S_NS, (starts_s + span_s) * _S_NS)
        for key in sorted(promise.keys):
            found = measured.get((promise.name, key), Count(0, 0))
            in_log = logged.get(key, Count(0, 0))
            yield Compared(
                f"{begin} to {end}", promise.name, key, found, in_log, key in promise.edge, span_s // WINDOW_S
            )


async def _apply(node: DevNode, made: Lab, directory: Path) -> None:
    path = directory / "promises.ola.yaml"
    path.write_text("---\n".join(promise.file(made) for promise in PROMISES))
    await done(node, "ola", "apply", str(path))


@contextmanager
def _router(node: DevNode, made: Lab, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    directory.mkdir()
    module = (sys.executable, "-m", "weftmesh.router")
    with (directory / "router.log").open("wb") as log:
        process = subprocess.Popen(
            [*made.inside, *module, "--socket", str(node.socket), "--state-dir", str(directory / "state")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _recorded(node: DevNode, router: subprocess.Popen[bytes], window_s: int) -> None:
    """Wait until the window that starts then is recorded and confirmed for every agreement."""
    deadline_s = window_s + WINDOW_S + RECORDED_S
    while True:
        await asyncio.sleep(POLL_S)
        if router.poll() is not None:
            raise MeasuringError(f"the router ended with {router.returncode}; see its log")
        async with node.client() as client:
            histories = [await client.ola.get_history(promise.name) for promise in PROMISES]
        if all(window_s in {one.starts_s for one in history.confirmations} for history in histories):
            return
        if time.time() > deadline_s:
            raise MeasuringError(f"the window at {window_s} was not recorded and confirmed in {RECORDED_S:g} s")


async def _counted(node: DevNode, window_s: int) -> Counts:
    """What the replicated history has for the window that starts then."""
    found: Counts = {}
    async with node.client() as client:
        for promise in PROMISES:
            history = await client.ola.get_history(promise.name)
            for objective in history.objectives:
                for part in objective.parts:
                    if part.starts_s == window_s:
                        found[promise.name, objective.objective] = Count(part.good, part.total)
    return found


async def _attained(node: DevNode) -> Counts:
    """What `ola status` adds up over the agreements' own windows, in which nothing else was counted."""
    said = json.loads(await done(node, "--json", "ola", "status"))
    return {
        (agreement["name"], objective["objective"]): Count(objective["good"], objective["total"])
        for agreement in said["agreements"]
        for objective in agreement["objectives"]
    }
