"""The engines that can be simulated."""

from __future__ import annotations

from tests.simulation.ours import EngineDisk
from tests.simulation.ports import MakeDisk
from tests.simulation.stock import StockDisk

CORES: dict[str, MakeDisk] = {"ours": EngineDisk, "stock": StockDisk}
