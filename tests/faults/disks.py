"""Faults of the disk: no room left, and a sync that fails. A node stops then, says why, and loses nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.network import run
from tests.faults.preloading import compiled
from tests.faults.site import Site
from tests.faults.stage import Stage, StageError

from weftmesh.cli.dev_node import DevNode

DISK_MIB = 384
"""Room for the two logs of a node, the bulk that fills them in every round, and snapshots."""
BALLAST = "ballast"
BULK_WRITES, BULK_BYTES = 16, 60_000
"""At a time, so that the segment in use is soon full."""
ENDS_WITHIN_S = 60.0


class SmallDisks:
    """A `Site` where each node has a small file system for its data. Needs root."""

    def __init__(self, count: int) -> None:
        self._mounts: dict[str, Path] = {}

    def place(self, node: DevNode) -> None:
        """Mount a file system where its data will be."""
        path = node.directory / "data"
        path.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "weftmesh", str(path))
        self._mounts[node.name] = path

    def fill(self, name: str) -> None:
        """Leave no room at all."""
        with (self._mounts[name] / BALLAST).open("ab", buffering=0) as ballast:
            for size_bytes in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        ballast.write(bytes(size_bytes))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def make_room(self, name: str) -> None:
        """Give it back."""
        (self._mounts[name] / BALLAST).unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount everything."""
        for path in self._mounts.values():
            run("umount", "--lazy", str(path), check=False)


class BrokenSyncs:
    """A `Site` where a node's fdatasync can be made to fail: by a preloaded library, else by strace."""

    def __init__(self, count: int) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="weftmesh-sync-"))
        self._tracers: dict[str, subprocess.Popen[bytes]] = {}
        self._library = compiled("failing_sync", self._directory) if shutil.which("cc") else None

    def place(self, node: DevNode) -> None:
        """Preload the library, if there is one."""
        if self._library:
            trigger = str(self._trigger(node.name))
            node.environment = {"LD_PRELOAD": str(self._library), "FAILING_SYNC_TRIGGER": trigger}

    def break_syncs(self, node: DevNode) -> None:
        """From now on every fdatasync of this node fails with EIO."""
        if self._library:
            self._trigger(node.name).touch()
            return
        command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "inject=fdatasync:error=EIO", "-p", str(node.pid)]
        self._tracers[node.name] = subprocess.Popen(command)

    def mend_syncs(self, name: str) -> None:
        """Stop it."""
        self._trigger(name).unlink(missing_ok=True)
        if tracer := self._tracers.pop(name, None):
            tracer.terminate()
            tracer.wait()

    def close(self) -> None:
        """Remove the library."""
        for name in list(self._tracers):
            self.mend_syncs(name)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _trigger(self, name: str) -> Path:
        return self._directory / f"{name}.fails"


async def fill_disk(stage: Stage[SmallDisks]) -> None:
    """The disk of the leader, or of a follower by turns, has no room left when the log needs a new segment."""
    victim = await stage.leader() if stage.round % 2 == 0 else await stage.follower()
    begun_s = time.monotonic()
    stage.site.fill(victim)
    pump = asyncio.create_task(_pump(stage, stage.others(victim)))
    try:
        await _stops(stage, victim, errno.ENOSPC)
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
    await _others_go_on(stage, victim, begun_s)
    stage.site.make_room(victim)
    await stage.mesh.restart(victim)
    await stage.leader()


async def fail_sync(stage: Stage[BrokenSyncs]) -> None:
    """A sync of the leader, or of a follower by turns, fails: what it wrote may be gone, so it must stop."""
    victim = await stage.leader() if stage.round % 2 == 0 else await stage.follower()
    begun_s = time.monotonic()
    stage.site.break_syncs(stage.mesh.node(victim))
    try:
        await _stops(stage, victim, errno.EIO)
    finally:
        stage.site.mend_syncs(victim)
    await _others_go_on(stage, victim, begun_s)
    await stage.mesh.restart(victim)
    await stage.leader()


async def _stops(stage: Stage[Site], victim: str, number: int) -> None:
    """The node ends by itself, and its last words name the error."""
    node = stage.mesh.node(victim)
    said_before = node.log_path.stat().st_size
    if not await node.ended(ENDS_WITHIN_S):
        raise StageError(f"{victim} runs on for {ENDS_WITHIN_S:g} s though its disk fails: {node.last_words(500)}")
    words = node.log_path.read_bytes()[said_before:].decode(errors="replace")
    if "the node stopped" not in words or os.strerror(number) not in words:
        raise StageError(f"{victim} ended without saying that {os.strerror(number)!r} was why: {words[-2_000:]}")


async def _others_go_on(stage: Stage[Site], victim: str, begun_s: float) -> None:
    """When the disk really failed only the victim knows, so what counts is the longest silence since."""
    await stage.flowing(stage.others(victim))
    stage.resume_s.append(stage.load.record.longest_silence_s(begun_s, time.monotonic()))


async def _pump(stage: Stage[Site], names: Sequence[str]) -> None:
    """Fill the log through nodes that are well."""
    while True:
        await stage.load.create_bulk(stage.random.choice(names), BULK_WRITES, BULK_BYTES)
