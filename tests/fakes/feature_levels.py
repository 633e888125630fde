"""Entries and logs of feature levels, for tests."""

from __future__ import annotations

from weftmesh.agent.board.machines import LogMachines
from weftmesh.core.board.commands import Header
from weftmesh.core.clock import HybridClock
from weftmesh.core.features.machine import RaiseLevel
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.features import encode_features_command


def raise_entry(level: int) -> bytes:
    """What a log holds of a level that was raised."""
    command = encode_features_command(RaiseLevel(Header("node1", 1), level, ("node1",)))
    return raft_pb2.MachineCommands(commands=[raft_pb2.MachineCommand(features=command)]).SerializeToString()


def machines_at(level: int) -> LogMachines:
    """The machines of a log whose level was raised up to `level`."""
    machines = LogMachines("mesh", HybridClock())
    for step in range(2, level + 1):
        machines.apply(step, raise_entry(step), 0, level=step)
    return machines
