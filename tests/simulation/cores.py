"""The engines that can be simulated."""

from __future__ import annotations

from tests.simulation.ours import EngineDisk
from tests.simulation.ports import MakeDisk
from tests.simulation.real_log import RealLogDisk
from tests.simulation.stock import StockDisk

# ours is in memory for most seeds and in files for some
CORES: dict[str, MakeDisk | None] = {"ours": None, "in-memory": EngineDisk, "in-files": RealLogDisk, "stock": StockDisk}
