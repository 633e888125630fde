"""One run: a quiet time, then attacks from a process of their own, and what they did to nodes and honest callers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.hostile.apart import apart
from tests.hostile.campaign import row_of
from tests.hostile.doors import Door
from tests.hostile.honest import quantile
from tests.hostile.sinks import sinks
from tests.hostile.site import Site, site

QUIET_S: Final = 4.0
WATCH_S: Final = 0.1
CALM_S: Final = 60.0
"""For descriptors to come back: a connection that was never proven is given 20 s, and a handshake 10."""
ATTACK_TIMEOUT_S: Final = 500.0
NATIVE_LINE: Final = re.compile(rb"[IWEF]\d{4} \d\d:\d\d:")
"""How gRPC's own lines begin."""


@dataclass
class Process:
    """A process under attack.

    Attributes:
        name: for the table.
        pid: its id.
        log: the file that it writes to.
        rss_before_bytes: resident memory before the attack.
        rss_peak_bytes: the most that was seen of it.
        files_before: descriptors before the attack.
        files_peak: the most that were seen.
        files_after: once it was calm again.
        log_lines: written during the attack.
        own_log_lines: of them, those that are not gRPC's own.
        tracebacks: among them.
        lived: whether the same process is still there.
    """

    name: str
    pid: int
    log: Path
    rss_before_bytes: int = 0
    rss_peak_bytes: int = 0
    files_before: int = 0
    files_peak: int = 0
    files_after: int = 0
    log_lines: int = 0
    own_log_lines: int = 0
    tracebacks: int = 0
    lived: bool = True
    _log_begins_bytes: int = 0

    def begin(self) -> None:
        """Note how it is before."""
        self.rss_before_bytes = self.rss_peak_bytes = self._rss_bytes()
        self.files_before = self.files_peak = self.files()
        self._log_begins_bytes = self.log.stat().st_size

    def look(self) -> None:
        """Note how it is now."""
        self.rss_peak_bytes = max(self.rss_peak_bytes, self._rss_bytes())
        self.files_peak = max(self.files_peak, self.files())

    def end(self) -> None:
        """Note how it is after."""
        self.lived = Path(f"/proc/{self.pid}/fd").exists()
        self.files_after = self.files() if self.lived else 0
        lines = self.log.read_bytes()[self._log_begins_bytes :].splitlines()
        self.log_lines = len(lines)
        self.own_log_lines = sum(NATIVE_LINE.match(line) is None for line in lines)
        self.tracebacks = sum(line.startswith(b"Traceback") for line in lines)

    def files(self) -> int:
        """Descriptors that it has open; none once it is gone."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except FileNotFoundError:
            return 0

    def _rss_bytes(self) -> int:
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except FileNotFoundError:
            return 0


@dataclass
class Result:
    """What a run came to.

    Attributes:
        tallies: by kind of attack, as `campaign.Tally` has it.
        processes: under attack.
        quiet_s: what honest calls took before, sorted.
        attacked_s: and during the attacks.
        failures: honest calls that failed.
        leaders: that the mesh had, in order.
        took_s: the attacks as a whole.
        routed_quiet_s: what the router's honest answers took before, sorted.
        routed_attacked_s: and during the attacks.
        tables: that the router told its honest follower during the attacks.
    """

    tallies: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    quiet_s: list[float] = field(default_factory=list)
    attacked_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    leaders: list[tuple[str, int]] = field(default_factory=list)
    took_s: float = 0.0
    routed_quiet_s: list[float] = field(default_factory=list)
    routed_attacked_s: list[float] = field(default_factory=list)
    tables: int = 0

    @property
    def inputs(self) -> int:
        """Attacks that were carried out."""
        return sum(int(tally["inputs"]) for tally in self.tallies.values())

    def p99_s(self) -> tuple[float, float]:
        """Of honest calls: quiet, and under attack."""
        return quantile(self.quiet_s, 0.99), quantile(self.attacked_s, 0.99)


async def assault(
    directory: Path, count: int, seed: int, at: Collection[str] = (), *, elsewhere: bool = False
) -> Result:
    """Attack a mesh in `directory` with about `count` inputs.

    Args:
        directory: for the mesh; short, as sockets are in it.
        count: how many inputs.
        seed: of all that is left to chance.
        at: names of the doors that are attacked; empty for all.
        elsewhere: whether doors with nobody behind them are attacked: then attackers take processor time, and no more.
    """
    result = Result()
    async with site(directory) as place, apart(directory, place) as callers:
        place.doors = [door for door in place.doors if not at or door.name in at]
        result.processes = [
            Process(f"node ({place.victim.name}, leads)", place.victim.pid, place.victim.log_path),
            Process("router", place.router.pid, place.router_log),
        ]
        if place.mesh.first is not place.victim:
            result.processes.append(Process("node with the authority", place.mesh.first.pid, place.mesh.first.log_path))
        await callers.measured(1.0)
        quiet = await callers.measured(QUIET_S)
        result.quiet_s, result.routed_quiet_s = quiet.took_s, quiet.routed_s
        result.leaders.append(await _leader(place))
        for process in result.processes:
            process.begin()
        async with _watched(result.processes):
            await callers.heard()
            began_s = time.monotonic()
            result.tallies = await _attacked(directory, place, count, seed, elsewhere)
            result.took_s = time.monotonic() - began_s
            attacked = await callers.heard()
            result.attacked_s, result.routed_attacked_s = attacked.took_s, attacked.routed_s
            result.tables = attacked.tables
            result.failures = [*quiet.failures, *attacked.failures]
            await _calm(result.processes)
        for process in result.processes:
            process.end()
        result.leaders.append(await _leader(place))
    return result


async def _attacked(directory: Path, place: Site, count: int, seed: int, elsewhere: bool) -> dict[str, dict[str, Any]]:
    if not elsewhere:
        return await _carried_out(directory, place.doors, count, seed)
    async with sinks(directory, place.doors, place.victim.directory / "data" / "identity") as doors:
        return await _carried_out(directory, doors, count, seed)


async def _carried_out(directory: Path, doors: list[Door], count: int, seed: int) -> dict[str, dict[str, Any]]:
    plan = directory / "doors.json"
    plan.write_text(json.dumps([row_of(door) for door in doors]))
    command = [sys.executable, "-m", "tests.hostile", "attack", str(plan), str(count), str(seed)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    try:
        async with asyncio.timeout(ATTACK_TIMEOUT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, "the attackers' own process failed; see its traceback above"
    tallies: dict[str, dict[str, Any]] = json.loads(said)
    return tallies


@asynccontextmanager
async def _watched(processes: list[Process]) -> AsyncIterator[None]:
    async def look() -> None:
        while True:
            for process in processes:
                process.look()
            await asyncio.sleep(WATCH_S)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


async def _calm(processes: list[Process]) -> None:
    """Wait until descriptors are as few as before, within bounds: whoever judges sees what is left."""
    deadline_s = time.monotonic() + CALM_S
    while any(one.files() > one.files_before for one in processes) and time.monotonic() < deadline_s:  # noqa: ASYNC110, other processes
        await asyncio.sleep(0.2)


async def _leader(place: Site) -> tuple[str, int]:
    async with place.victim.client() as client:
        status = await client.mesh.get_status()
        return status.leader, status.term
