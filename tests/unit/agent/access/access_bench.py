"""A node's roles over a log in memory, and callers of every kind."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.fakes.raft_engine import InMemoryEngine

from weftmesh.agent.access.authorizing import Authorizer
from weftmesh.agent.access.identities import Identities
from weftmesh.agent.access.places import Places
from weftmesh.agent.access.replica import RolesReplica
from weftmesh.agent.board.homes import MESH, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.serving.callers import Caller
from weftmesh.core.access.commands import Command, GrantRole, RevokeRole
from weftmesh.core.access.model import MESH as WHOLE_MESH
from weftmesh.core.access.roles import Role
from weftmesh.core.board.commands import Header
from weftmesh.core.clock import HybridClock
from weftmesh.core.features.machine import RaiseLevel
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.access_commands import encode_access_command
from weftmesh.runtime.wire.features import encode_features_command

ANN_UID, EVE_UID, COORDINATOR_UID = 70_001, 70_002, 70_003
ANN = Caller("ann@n1", "ann", "", ANN_UID, ANN_UID, 11)
EVE = Caller("eve@n1", "eve", "", EVE_UID, EVE_UID, 12)
ROOT = Caller("root@n1", "root", "", 0, 0, 13)
COORDINATOR = Caller("weftmesh-coordinator@n1", "weftmesh-coordinator", "", COORDINATOR_UID, COORDINATOR_UID, 14)
BACKUP = Caller("weftmesh-backup@n1", "weftmesh-backup", "", 70_004, 70_004, 15)
NODE = Caller("node:n2", "", "n2")


class AccessBench:
    """Node n1."""

    def __init__(self, directory: Path, group: str = "no-such-group") -> None:
        self.machine = LogMachines(MESH, HybridClock())
        local = LogMachines("node:n1", HybridClock())
        self.homes = Homes(
            Home(MESH, self.machine, InMemoryEngine(self.machine), pending_writes_max=100),
            Home("node:n1", local, InMemoryEngine(local), pending_writes_max=100),
        )
        self._numbers = itertools.count(1)
        level = raft_pb2.MachineCommand(features=encode_features_command(RaiseLevel(self.header(), 2, ("n1",))))
        self._apply(level, fence=2)
        self.replica = RolesReplica(self.homes.mesh, directory / "roles")
        self.places = Places(self.homes)
        self.authorizer = Authorizer(self.replica, Identities("n1"), self.places, group)

    def header(self) -> Header:
        return Header("root@n1", next(self._numbers) << 16)

    def change(self, command: Command) -> None:
        self._apply(raft_pb2.MachineCommand(access=encode_access_command(command)))

    def grant(self, subject: str, role: Role, project: str = WHOLE_MESH) -> None:
        self.change(GrantRole(self.header(), subject, project, role))

    def revoke(self, subject: str, project: str = WHOLE_MESH) -> None:
        self.change(RevokeRole(self.header(), subject, project))

    def _apply(self, item: raft_pb2.MachineCommand, fence: int = 1) -> None:
        entry = raft_pb2.MachineCommands(commands=[item]).SerializeToString()
        (outcome,) = self.machine.apply(next(self._numbers), entry, 0, level=fence)
        assert outcome.ok, outcome.message
