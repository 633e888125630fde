"""Power cuts under load, on a disk that loses what was not flushed: what was acknowledged is there afterwards.

The mesh has one node: what it acknowledges is on its own disk and nowhere else.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.vm import mesh
from tests.vm.conftest import copy
from tests.vm.kernel import Kernel
from tests.vm.load import Load, tasks_of
from tests.vm.machine import Machine
from tests.vm.nbd import Server
from tests.vm.volatile_disk import Cut, VolatileDisk

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7_200)]

SEED = 20_261_122
CUTS = 3
WRITES_MIN = 30
FLUSH_TIMEOUT_S = 300.0
WAIT_MAX_S = 8.0
"""Longer than what the file system flushes by itself is apart."""
SIZE_BYTES = 100_000
WRITE_FILES = f"head -c {SIZE_BYTES} /dev/zero | tee /srv/synced-$0 > /srv/unsynced-$0 && sync /srv/synced-$0"
WITHOUT_SYNC = "[raft]\nfsync = false\n"


class PowerSupply:
    """A machine with a mesh on a volatile disk, and its switch.

    Args:
        kernel: what it is started with.
        image: what its disk holds.
        shared: what it sees as /host.
        directory: of this machine alone.
    """

    def __init__(self, kernel: Kernel, image: Path, shared: Path, directory: Path) -> None:
        self._image = image
        self._path = directory / "nbd"
        self.machine = Machine(kernel, f"driver=nbd,server.type=unix,server.path={self._path}", shared, directory)

    def switch_on(self) -> None:
        """Boot, and return when the node is ready."""
        self._path.unlink(missing_ok=True)
        self._disk = VolatileDisk(self._image)
        self._server = Server(self._disk, self._path)
        began_s = time.monotonic()
        print(f"\npower on: took commands after {self.machine.boot():.0f} s", end="")
        mesh.settle(self.machine, mesh.ALONE)
        print(f", and writes after {time.monotonic() - began_s:.0f} s")

    def cut(self, kept: Callable[[int], int], at_flush: bool = False) -> Cut:
        """Switch off under load: at any moment, or between writes to the disk and their flush; see VolatileDisk.cut."""
        if at_flush:
            assert self._server.stop_at_flush(FLUSH_TIMEOUT_S), "nothing was flushed"
        self.machine.kill()
        self._server.wait()
        flushes = self._disk.flushes
        cut = self._disk.cut(kept)
        assert cut.unflushed or not at_flush
        self._disk.close()
        print(f"{flushes} flushes before; of {cut.unflushed} sectors after the last one {cut.lost} lost, ", end="")
        print(f"{cut.older} with an older version")
        return cut


@pytest.fixture
def supply(founded_alone: Path, debian_kernel: Kernel, shared: Path, tmp_path: Path) -> PowerSupply:
    disk = tmp_path / "disk.img"
    copy(founded_alone, disk)
    return PowerSupply(debian_kernel, disk, shared, tmp_path)


def missing(machine: Machine, acknowledged: dict[str, str]) -> int:
    """How many acknowledged writes the node lacks, or has with another title."""
    return len(acknowledged.items() - tasks_of(machine, 1).items())


def size_bytes(machine: Machine, path: str) -> int:
    return int(machine.run("stat", "-c", "%s", path, check=False).stdout or 0)


def test_what_was_acknowledged_survives_power_cuts(supply: PowerSupply) -> None:
    chance = random.Random(SEED)
    acknowledged: dict[str, str] = {}
    machine = supply.machine
    try:
        for number in range(1, CUTS + 1):
            supply.switch_on()
            with Load(machine, f"before cut {number}", mesh.ALONE) as load:
                load.wait_for(WRITES_MIN)
                time.sleep(chance.uniform(0.0, WAIT_MAX_S))
                machine.run("sh", "-c", WRITE_FILES, str(number))
                supply.cut(lambda versions: chance.randint(0, versions), at_flush=number > 1)
                print(f"cut {number}: {len(load.acknowledged())} writes acknowledged in this life")
                acknowledged |= load.acknowledged()
        supply.switch_on()
        assert missing(machine, acknowledged) == 0
        print(f"all {len(acknowledged)} are there")
        assert size_bytes(machine, f"/srv/synced-{CUTS}") == SIZE_BYTES
        assert size_bytes(machine, f"/srv/unsynced-{CUTS}") < SIZE_BYTES
        mesh.weftmesh(machine, 1, "verify")
    finally:
        machine.kill()


def test_the_cut_is_one_since_a_node_that_does_not_sync_loses_writes(supply: PowerSupply) -> None:
    machine = supply.machine
    try:
        supply.switch_on()
        mesh.write(machine, "/etc/weftmesh/conf.d/20-sync.toml", WITHOUT_SYNC)
        machine.run("sync")
        machine.run("systemctl", "restart", mesh.unit(1))
        mesh.settle(machine, mesh.ALONE)
        with Load(machine, "not synced", mesh.ALONE) as load:
            load.wait_for(WRITES_MIN)
            supply.cut(lambda _: 0)
            acknowledged = load.acknowledged()
        supply.switch_on()
        lost = missing(machine, acknowledged)
        print(f"of {len(acknowledged)} acknowledged writes the node lacks {lost}")
        assert lost > 0
    finally:
        machine.kill()
