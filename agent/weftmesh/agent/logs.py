"""The two logs of a node, the mesh's and its own: disk, machines and engine of each, made from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from weftmesh.agent.board.homes import MESH, NODE_PREFIX, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.metrics.raft_metrics import LogMeter
from weftmesh.agent.raft.log.wal import WriteAheadLog
from weftmesh.agent.raft.node import PysyncobjEngine
from weftmesh.agent.raft.peers.null import NullTransport
from weftmesh.agent.raft.ports import Transport
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.core.clock import HybridClock
from weftmesh.runtime.config import Config, RaftConfig
from weftmesh.runtime.identity.founding import NodeRecord


class Logs:
    """Opens them; nothing runs yet.

    Args:
        config: of the node.
        record: which node it is.
        clock: follows the stamps of what is applied.
        transport: to the peers.
        seeds: whom a node that joined asks first, name to host:port.
        on_fatal: called when a log cannot go on.

    Attributes:
        homes: the boards, each with the log that orders its writes.
        meter: measures where the mesh's log lies.
    """

    def __init__(
        self,
        config: Config,
        record: NodeRecord,
        clock: HybridClock,
        transport: Transport,
        seeds: Mapping[str, str],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._config, self._record, self._clock, self._on_fatal = config, record, clock, on_fatal
        data_dir = config.node.data_dir
        self.meter, own = self._meter(data_dir / "mesh"), self._meter(data_dir / "local")
        mesh = self._open(MESH, self.meter, transport, {} if record.founding else seeds, founding=record.founding)
        local = self._open(f"{NODE_PREFIX}{record.node}", own, NullTransport(), {}, founding=True)
        self.homes = Homes(mesh, local)

    def _meter(self, directory: Path) -> LogMeter:
        return LogMeter(directory, self._record.cluster, fsync=self._config.raft.fsync)

    def _open(
        self, name: str, meter: LogMeter, transport: Transport, seeds: Mapping[str, str], *, founding: bool
    ) -> Home:
        raft = self._config.raft
        machines = LogMachines(name, self._clock)
        storage = WriteAheadLog.open(meter.wal, fsync=raft.fsync, on_failure=self._on_fatal, disk=meter.disk)
        engine = PysyncobjEngine(
            self._record.node,
            self._record.address,
            self._record.cluster,
            storage,
            meter.snapshots,
            transport,
            machines,
            founding=founding,
            settings=settings_of(raft),
            on_fatal=self._on_fatal,
            seeds=seeds,
            home=name,
        )
        return Home(name, machines, engine, self._config.limits.max_pending_writes)


def settings_of(raft: RaftConfig) -> RaftSettings:
    """What the engine takes from the configuration."""
    return RaftSettings(
        idle_heartbeat_s=raft.heartbeat_ms / 1000,
        election_min_s=raft.election_timeout_ms[0] / 1000,
        election_max_s=raft.election_timeout_ms[1] / 1000,
        snapshot_every_entries=raft.snapshot_every_entries,
    )
