"""The engines that can be simulated."""

from __future__ import annotations

from functools import partial

from tests.simulation.ours import EngineDisk
from tests.simulation.ports import MakeDisk
from tests.simulation.stock import StockDisk

from weftmesh.agent.raft.hardened import HardenedSyncObj


def with_core(core_class: type[HardenedSyncObj]) -> MakeDisk:
    """Our engine around another core."""
    return partial(EngineDisk, core_class=core_class)


CORES: dict[str, MakeDisk] = {"ours": EngineDisk, "stock": StockDisk}
