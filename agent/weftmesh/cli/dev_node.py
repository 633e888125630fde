"""One node of a development mesh: its files under a directory, and its process."""

from __future__ import annotations

import asyncio
import grp
import os
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from weftmesh.cli.config_file import render
from weftmesh.cli.dev_companions import start_activator, start_keeper, start_router
from weftmesh.cli.session import LEARNER_SOCKET_NAME
from weftmesh.client import Client, connect
from weftmesh.core.errors import InvalidInputError, NodeUnreachableError
from weftmesh.runtime.files import write_atomic

AGENT_MODULE: Final = "weftmesh.agent"
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.05
SOCKET_PATH_BYTES_MAX: Final = 90
"""A socket's path may have 107 bytes on Linux; the node keeps a longer one beside this."""


@dataclass(slots=True)
class DevNode:
    """A node on loopback.

    Attributes:
        name: node1, node2 and so on.
        directory: holds weftmesh.toml, the logs of its processes, data, learner, router and run.
        listen: host:port of the mesh port.
        enroll: host:port of the enrolment port.
        pid: of its process; 0 when none was started.
        prefix: a command that its process is started by, such as `ip netns exec NAME`; it must not fork.
        environment: what its process finds beside our own environment.
        learner: whether a connection to its learner.sock starts a learner.
        coordinator: whether a coordinator runs beside it.
        router: whether a router runs beside it.
    """

    name: str
    directory: Path
    listen: str
    enroll: str
    pid: int = 0
    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    learner: bool = False
    coordinator: bool = False
    router: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False, compare=False)
    _companions: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False, compare=False)

    @property
    def config_path(self) -> Path:
        """Its weftmesh.toml."""
        return self.directory / "weftmesh.toml"

    @property
    def socket(self) -> Path:
        """Its local socket."""
        return self.directory / "run" / "api.sock"

    @property
    def log_path(self) -> Path:
        """What it says on stdout and stderr."""
        return self.directory / "weftmeshd.log"

    @property
    def learner_log_path(self) -> Path:
        """What its learner and whoever starts it say."""
        return self.directory / "learner.log"

    @property
    def coordinator_log_path(self) -> Path:
        """What its coordinator and whoever keeps it running say."""
        return self.directory / "coordinator.log"

    @property
    def learner_directory(self) -> Path:
        """What its learner keeps."""
        return self.directory / "learner"

    @property
    def router_socket(self) -> Path:
        """Where its router answers."""
        return self.socket.with_name("router.sock")

    @property
    def router_log_path(self) -> Path:
        """What its router and whoever keeps it running say."""
        return self.directory / "router.log"

    @property
    def router_directory(self) -> Path:
        """What its router keeps."""
        return self.directory / "data" / "router"

    @property
    def running(self) -> bool:
        """Whether its process lives: one with this pid that was started with this configuration."""
        if self._process is not None and self._process.pid == self.pid:
            return self._process.poll() is None  # our own child; its command line is not there at once
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return self.pid > 0 and AGENT_MODULE.encode() in command and os.fsencode(self.config_path) in command

    def write_config(self, fsync: bool) -> None:
        """Make its directory and its configuration.

        Raises:
            InvalidInputError: its socket would have too long a path.
        """
        if len(os.fsencode(self.socket)) > SOCKET_PATH_BYTES_MAX:
            raise InvalidInputError(f"{self.socket} is too long a path for a socket; choose a shorter --dir")
        self.directory.mkdir(parents=True, exist_ok=True)
        settings: dict[tuple[str, str], str | bool | int] = {
            ("node", "name"): self.name,
            ("node", "data_dir"): str(self.directory / "data"),
            ("node", "run_dir"): str(self.directory / "run"),
            ("mesh", "listen"): self.listen,
            ("mesh", "advertise"): self.listen,
            ("mesh", "enroll_listen"): self.enroll,
            ("mesh", "group"): grp.getgrgid(os.getgid()).gr_name,
            ("raft", "fsync"): fsync,
        }
        write_atomic(self.config_path, render(settings).encode())

    def start(self) -> None:
        """Start its process, in a session of its own: Ctrl-C in the terminal is not for it."""
        (self.directory / "run").mkdir(mode=0o700, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603, our own interpreter and paths
                [*self.prefix, sys.executable, "-m", AGENT_MODULE, "--config", str(self.config_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | self.environment,
            )
        self.pid = self._process.pid
        self._start_companions()

    def _start_companions(self) -> None:
        """Start what is beside it; each of them ends with the node's process."""
        if not self.learner:
            self.socket.with_name(LEARNER_SOCKET_NAME).unlink(missing_ok=True)  # of an earlier start, and dead
        if self.learner:
            self._companions.append(
                start_activator(self.pid, self.socket, self.learner_directory, self.learner_log_path)
            )
        if self.coordinator:
            self._companions.append(start_keeper(self.pid, self.socket, self.coordinator_log_path))
        if self.router:
            self._start_router()

    def add_router(self) -> None:
        """Start a router beside its process, which runs, unless it has one."""
        if not self.router:
            self.router = True
            self._start_router()

    def _start_router(self) -> None:
        self._companions.append(
            start_router(self.pid, self.prefix, self.config_path, self.router_directory, self.router_log_path)
        )

    async def ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return once its socket answers.

        Raises:
            NodeUnreachableError: its process ended, or the time is up; the message ends with its last words.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                async with connect(str(self.socket), timeout_s=1.0) as client:
                    await client.mesh.get_status(timeout_s=1.0)
                    return
            except NodeUnreachableError as error:
                if not self.running or asyncio.get_running_loop().time() >= deadline:
                    raise NodeUnreachableError(
                        f"{self.name} did not come up; {self.log_path} ends with:\n{self.last_words()}"
                    ) from error
            await asyncio.sleep(POLL_S)

    def client(self, **options: Any) -> AbstractAsyncContextManager[Client]:
        """A client of this node."""
        return connect(str(self.socket), **options)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its process, if it lives and is ours."""
        if self.running:
            os.kill(self.pid, number)

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop its process: SIGTERM, and SIGKILL when that did not help in time."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.send_signal(number)
            if await self.ended(timeout_s):
                break
        while self._companions:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._companions.pop().wait, timeout_s)

    async def ended(self, timeout_s: float) -> bool:
        """Whether its process is gone within the time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self.running:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    def last_words(self, size_bytes: int = 2_000) -> str:
        """The end of its log."""
        try:
            return self.log_path.read_bytes()[-size_bytes:].decode(errors="replace").strip()
        except OSError:
            return ""

    def to_json(self) -> dict[str, Any]:
        """What mesh.json keeps of it, with its socket and configuration for other programs."""
        return {
            "name": self.name,
            "pid": self.pid,
            "socket": str(self.socket),
            "config": str(self.config_path),
            "listen": self.listen,
            "enroll": self.enroll,
            "prefix": list(self.prefix),
            "environment": self.environment,
            "learner": self.learner,
            "coordinator": self.coordinator,
            "router": self.router,
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            row["name"],
            Path(row["config"]).parent,
            row["listen"],
            row["enroll"],
            row["pid"],
            prefix=tuple(row.get("prefix", ())),
            environment=row.get("environment", {}),
            learner=row.get("learner", False),
            coordinator=row.get("coordinator", False),
            router=row.get("router", False),
        )
