"""Faults of the wall clock: it jumps by an hour, on one node at a time. The monotonic clock stays as it is."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.preloading import compiled
from tests.faults.stage import Stage

from weftmesh.cli.dev_node import DevNode

HOUR_S = 3_600


class ShiftedClocks:
    """A `Site` where each node's wall clock can be set while it runs, by a preloaded library.

    It shifts what a process reads. What the kernel waits for is not shifted, which is more than real clocks do.
    """

    def __init__(self, count: int) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="weftmesh-clocks-"))
        self._library = compiled("shifted_clock", self._directory)

    def place(self, node: DevNode) -> None:
        """Preload the library, with the right time."""
        self.shift(node.name, 0)
        node.environment = {"LD_PRELOAD": str(self._library), "SHIFTED_CLOCK_FILE": str(self._file(node.name))}

    def shift(self, name: str, seconds: int) -> None:
        """Set a node's clock to the right time and this much."""
        mode = "r+b" if self._file(name).exists() else "wb"
        with self._file(name).open(mode, buffering=0) as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def close(self) -> None:
        """Remove the library."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self._directory / name


async def jump_clocks(stage: Stage[ShiftedClocks]) -> None:
    """One clock goes ahead by an hour, then another one back, while a third node comes new to its peers.

    A restart beside a shifted clock makes every connection of that node anew, and with it every certificate's check.
    """
    ahead, behind = stage.random.sample(stage.names, 2)
    for shifted, seconds in ((ahead, HOUR_S), (behind, -HOUR_S)):
        stage.strike()
        stage.site.shift(shifted, seconds)
        await stage.resumed()
        await stage.flowing()
        await stage.mesh.restart(stage.random.choice(stage.others(shifted)))
        await stage.leader()
        await stage.flowing()
        stage.site.shift(shifted, 0)
        await stage.flowing()
