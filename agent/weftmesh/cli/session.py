"""One run of the command: its global options, its output, and the way to the node."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from weftmesh.cli.output import Output
from weftmesh.core.errors import ConfigError, NoQuorumError

if TYPE_CHECKING:
    from weftmesh.client import Client
    from weftmesh.runtime.config import Config
    from weftmesh.runtime.units import NodeCommands

DEFAULT_TIMEOUT_S: Final = 10.0
DEFAULT_CONFIG: Final = Path("/etc/weftmesh/weftmesh.toml")
SOCKET_NAME: Final = "api.sock"
LEARNER_SOCKET_NAME: Final = "learner.sock"
"""Beside it, where a learner is installed."""
DEFAULT_SOCKET: Final = Path("/run/weftmesh") / SOCKET_NAME

T = TypeVar("T")


class Session:
    """What every command gets.

    Attributes:
        output: where to write.
        config_path: from --config; None for the default.
        socket: from --socket; None to take it from the configuration.
        timeout_s: for each call, retries included.
    """

    def __init__(self) -> None:
        self.output = Output()
        self.config_path: Path | None = None
        self.socket: str | None = None
        self.timeout_s = DEFAULT_TIMEOUT_S

    @property
    def config_file(self) -> Path:
        """The configuration file in force."""
        return self.config_path or DEFAULT_CONFIG

    def follow_socket(self) -> None:
        """Take the configuration that lies beside the socket, as `weftmesh dev` puts it, if none was named.

        Else a command that looks at files would look at those of another node than the one that it asks.
        """
        if self.config_path is not None or not self.socket:
            return
        run_dir = Path(self.socket.removeprefix("unix:")).absolute().parent
        beside = run_dir.with_name(DEFAULT_CONFIG.name)
        with suppress(OSError, ConfigError):
            # Somebody else's file is not followed: what it names is looked at with this user's rights.
            if beside.stat().st_uid in (0, os.geteuid()) and _run_dir_of(beside) == run_dir:
                self.config_path = beside

    def node_commands(self) -> NodeCommands:
        """What starts and stops the node of the configuration in force."""
        from weftmesh.runtime.units import NodeCommands

        return NodeCommands.of_this_machine(self.config_file)

    def config(self) -> Config:
        """The configuration.

        Raises:
            ConfigError: it is wrong.
        """
        from weftmesh.runtime.config import load_config

        return load_config(self.config_path, environment=os.environ)

    def target(self) -> str:
        """The address of the node's local socket.

        Raises:
            ConfigError: the configuration, which says it, is wrong, and no node is where it is by default.
        """
        if self.socket:
            return self.socket
        try:
            return str(self.config().node.run_dir / SOCKET_NAME)
        except ConfigError as error:
            # A node goes on when its configuration breaks, and may be asked just then. A file that was named is taken
            # at its word: its node may be another one.
            if self.config_path is not None or not DEFAULT_SOCKET.exists():
                raise
            self.output.note(f"{error}\nthe node at {DEFAULT_SOCKET} is asked all the same")
            return str(DEFAULT_SOCKET)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of the node.

        Raises:
            NodeUnreachableError: no node answers.
            NoQuorumError: from the block; where the others turn this node away, it says so instead.
        """
        from weftmesh.client import connect

        async with connect(self.target(), timeout_s=self.timeout_s) as client:
            try:
                yield client
            except NoQuorumError as error:
                from weftmesh.cli.shut_out import why_shut_out

                why = await why_shut_out(client, self.timeout_s)
                if why is None:
                    raise
                raise why.error(error) from error

    @staticmethod
    def run(work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on a fresh event loop."""
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)


def _run_dir_of(path: Path) -> Path:
    from weftmesh.runtime.config import load_config

    return load_config(path, environment={}).node.run_dir
