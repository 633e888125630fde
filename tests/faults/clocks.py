"""Faults of the wall clock: it jumps by an hour, on one node at a time. The monotonic clock stays as it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.faults.needs import faketime_library
from tests.faults.stage import Stage

from weftmesh.cli.dev_node import DevNode

RIGHT = "+0"
NOTICED_AFTER_S = 1
"""The library looks at the file no more often than this."""


class ShiftedClocks:
    """A `Site` where each node's wall clock can be set while it runs. Needs libfaketime."""

    def __init__(self, count: int) -> None:
        self._files: dict[str, Path] = {}

    def place(self, node: DevNode) -> None:
        """Preload the library, with the right time."""
        node.directory.mkdir(parents=True, exist_ok=True)
        self._files[node.name] = node.directory / "clock"
        self.shift(node.name, RIGHT)
        node.environment = {
            "LD_PRELOAD": str(faketime_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._files[node.name]),
            "FAKETIME_CACHE_DURATION": str(NOTICED_AFTER_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def shift(self, name: str, offset: str) -> None:
        """Set a node's clock to the right time and this much, such as +1h."""
        new = self._files[name].with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.rename(self._files[name])

    def close(self) -> None:
        """The files belong to the mesh."""


async def jump_clocks(stage: Stage[ShiftedClocks]) -> None:
    """One clock goes ahead by an hour, then another one back, while a third node comes new to its peers.

    A restart beside a shifted clock makes every connection of that node anew, and with it every certificate's check.
    """
    for offset in ("+1h", "-1h"):
        shifted = stage.random.choice(stage.names)
        stage.site.shift(shifted, offset)
        await asyncio.sleep(2 * NOTICED_AFTER_S)
        stage.strike()
        await stage.resumed()
        await stage.flowing()
        await stage.mesh.restart(stage.random.choice(stage.others(shifted)))
        await stage.leader()
        await stage.flowing()
        stage.site.shift(shifted, RIGHT)
        await stage.flowing()
