"""What runs beside a node of a development mesh, and ends with it: whoever starts its learner, coordinator, router."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from weftmesh.cli.session import LEARNER_SOCKET_NAME

LEARNER_MODULE: Final = "weftmesh.learner"
COORDINATOR_MODULE: Final = "weftmesh.coordinator"
ROUTER_MODULE: Final = "weftmesh.router"
ACTIVATOR: Final = Path(__file__).with_name("dev_activator.py")
KEEPER: Final = Path(__file__).with_name("dev_keeper.py")


def start_activator(node_pid: int, socket: Path, state_dir: Path, log_path: Path) -> subprocess.Popen[bytes]:
    """Let a connection to learner.sock start the learner, as a socket unit does in production.

    Args:
        node_pid: of the node's process.
        socket: the node's local socket; learner.sock is beside it.
        state_dir: what the learner keeps.
        log_path: of what both say.
    """
    learner = [sys.executable, "-m", LEARNER_MODULE, "--socket", str(socket), "--state-dir", str(state_dir)]
    listening = ["--listen", str(socket.with_name(LEARNER_SOCKET_NAME))]
    return _start(ACTIVATOR, node_pid, [*listening, "--", *learner], log_path)


def start_keeper(node_pid: int, socket: Path, log_path: Path) -> subprocess.Popen[bytes]:
    """Keep a coordinator running, as a service unit does in production; see `start_activator`."""
    return _start(KEEPER, node_pid, ["--", sys.executable, "-m", COORDINATOR_MODULE, "--socket", str(socket)], log_path)


def start_router(
    node_pid: int, prefix: Sequence[str], config: Path, state_dir: Path, log_path: Path
) -> subprocess.Popen[bytes]:
    """Keep a router running, as a service unit does in production.

    Args:
        node_pid: of the node's process.
        prefix: a command that it is started by, as the node's is.
        config: the node's configuration, which says where its sockets are.
        state_dir: what the router keeps.
        log_path: of what it says.
    """
    router = [sys.executable, "-m", ROUTER_MODULE, "--config", str(config), "--state-dir", str(state_dir)]
    return _start(KEEPER, node_pid, ["--", *prefix, *router], log_path)


def _start(program: Path, node_pid: int, arguments: list[str], log_path: Path) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen(  # noqa: S603, our own interpreter and paths
            [sys.executable, "-I", "-S", str(program), "--node-pid", str(node_pid), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
