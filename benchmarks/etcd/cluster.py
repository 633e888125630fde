"""A cluster of three etcd members on loopback, with etcd's own defaults and mutual TLS on every port."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from benchmarks.etcd import processes
from benchmarks.etcd.certificates import make_certificates
from benchmarks.etcd.client import connect
from benchmarks.etcd.processes import BenchmarkError, program
from weftmesh.cli.dev_mesh import free_ports

MEMBERS: Final = 3
SETTLE_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.05
CALL_TIMEOUT_S: Final = 2.0


@dataclass(slots=True)
class Member:
    """One member.

    Attributes:
        address: host:port for clients.
        peer_url: for the other members.
        process: as it was started last.
    """

    name: str
    address: str
    peer_url: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its process; 0 when none was started."""
        return self.process.pid if self.process else 0

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.poll() is None


class EtcdCluster:
    """Three members under one directory.

    Attributes:
        credentials: the directory with ca.pem, node.pem and node.key.
        members: by name.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.credentials = directory / "credentials"
        ports = free_ports(2 * MEMBERS)
        names = [f"etcd{number}" for number in range(1, MEMBERS + 1)]
        self.members = {
            name: Member(name, f"127.0.0.1:{ports.pop()}", f"https://127.0.0.1:{ports.pop()}") for name in names
        }

    async def up(self) -> None:
        """Start every member; return when all follow one leader.

        Raises:
            BenchmarkError: etcd is not installed, or did not come up.
        """
        make_certificates(self.credentials)
        for name in self.members:
            self.start(name)
        await self.settled()

    def start(self, name: str) -> None:
        """Start a member, for the first time or again."""
        member = self.members[name]
        client_url = f"https://{member.address}"
        options = {
            "name": name,
            "data-dir": self.directory / name,
            "listen-client-urls": client_url,
            "advertise-client-urls": client_url,
            "listen-peer-urls": member.peer_url,
            "initial-advertise-peer-urls": member.peer_url,
            "initial-cluster": ",".join(f"{one.name}={one.peer_url}" for one in self.members.values()),
            "initial-cluster-state": "new",
            "logger": "zap",
            "log-outputs": "stderr",
            "log-level": "error",
        }
        for prefix in ("", "peer-"):
            options[f"{prefix}cert-file"] = self.credentials / "node.pem"
            options[f"{prefix}key-file"] = self.credentials / "node.key"
            options[f"{prefix}trusted-ca-file"] = self.credentials / "ca.pem"
            options[f"{prefix}client-cert-auth"] = "true"
        command = [program("etcd", "etcd-server"), *(f"--{key}={value}" for key, value in options.items())]
        member.process = processes.start(command, self.directory / f"{name}.log")

    async def settled(self) -> str:
        """Wait until every member that runs follows a leader that runs; the leader's name.

        Raises:
            BenchmarkError: not in time.
        """
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                while (leader := await self._leader()) is None:  # noqa: ASYNC110, another process decides
                    await asyncio.sleep(POLL_S)
                return leader
        except TimeoutError:
            logs = [(self.directory / f"{name}.log").read_text()[-500:] for name in self.members]
            raise BenchmarkError("etcd agreed on no leader; its logs end with:\n" + "\n".join(logs)) from None

    async def _leader(self) -> str | None:
        leads = {}
        for member in self.members.values():
            if member.running:
                try:
                    async with connect(member.address, self.credentials) as client:
                        leads[member.name] = await client.is_leader(CALL_TIMEOUT_S)
                except grpc.aio.AioRpcError:
                    return None
        leaders = [name for name, leader in leads.items() if leader]
        return leaders[0] if len(leaders) == 1 and None not in leads.values() else None

    def kill(self, name: str) -> None:
        """SIGKILL a member and wait for it."""
        process = self.members[name].process
        if process is not None:
            process.kill()
            process.wait()

    def down(self) -> None:
        """SIGKILL every member: what they stored is not needed, and leaving in order takes them seconds."""
        for name in self.members:
            self.kill(name)
