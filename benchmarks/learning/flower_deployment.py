"""Flower's own deployment engine on loopback: a SuperLink, SuperNodes, and a run of the app in tests/peers/flower_app.

Nothing of it needs a network: telemetry, the check for updates and the installation of dependencies are off, and all
ports are of 127.0.0.1. There is no TLS here either; docs/flower.md says what a real deployment takes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from weftmesh.cli.dev_mesh import free_ports

APP: Final = Path(__file__).resolve().parents[2] / "tests" / "peers" / "flower_app"
PROGRAMS: Final = ("flwr", *(f"flower-{name}" for name in ("superlink", "supernode", "superexec")))
CONNECTION: Final = "loopback"
START_S: Final = 180.0
"""For all of a deployment to start."""
STOP_S: Final = 10.0
POLL_S: Final = 0.1
LOG_TAIL_LINES: Final = 25
_NODE_ID: Final = re.compile(r"SuperNode ID: (\d+)")
_BIN: Final = Path(sys.executable).parent


class DeploymentError(Exception):
    """A process of Flower ended, or did not do in time what was waited for; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What one SuperNode works on.

    Attributes:
        tasks: an export of its project's tasks.
        project: the project's id.
        state: a directory of its own.
    """

    tasks: Path
    project: str
    state: Path


@dataclass(frozen=True, slots=True)
class FlowerRun:
    """What a run of the app came to.

    Attributes:
        model: the last version's bytes.
        rounds_s: of each round.
    """

    model: bytes
    rounds_s: Sequence[float]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A SuperLink that runs.

    Attributes:
        directory: for logs, and what Flower keeps.
        node_ids: of the SuperNodes, in the order in which they were given; drawn by the SuperLink.
        pids: of the SuperLink and of the SuperNodes.
    """

    directory: Path
    node_ids: Sequence[int]
    pids: Sequence[int]

    def memory_bytes(self) -> int:
        """Proportional set size of all processes, with what they started: a page that n of them share counts 1/n."""
        pids = {child for pid in self.pids for child, _ in _descendants(pid)} | set(self.pids)
        return sum(_proportional_bytes(pid) for pid in pids)

    def run(self, model: bytes, rounds: int, timeout_s: float) -> FlowerRun:
        """Train with all nodes.

        Args:
            model: the version to begin with.
            rounds: how many.
            timeout_s: for the run as a whole.

        Raises:
            DeploymentError: the run failed, or was not over in time.
        """
        results = self.directory / "results"
        results.mkdir()
        (results / "base").write_bytes(model)
        settings = f'model="{results / "base"}" results="{results}" nodes={len(self.node_ids)} rounds={rounds}'
        command = [str(_BIN / "flwr"), "run", str(APP), CONNECTION, "--stream", "--run-config", settings]
        log = self.directory / "run.log"
        with log.open("wb") as out, suppress(subprocess.TimeoutExpired):
            environment = _environment(self.directory / "cli")
            subprocess.run(command, env=environment, stdout=out, stderr=out, timeout=timeout_s, check=False)  # noqa: S603
        times = results / "times.json"
        if not times.exists():
            raise DeploymentError(f"no result of {rounds} rounds after at most {timeout_s:g} s:\n{_tail(log)}")
        return FlowerRun((results / "model").read_bytes(), json.loads(times.read_text()))


def missing_programs() -> list[str]:
    """Programs of Flower that are not installed beside this interpreter."""
    return [name for name in PROGRAMS if not (_BIN / name).exists()]


@contextmanager
def deployment(
    directory: Path, nodes: Sequence[NodeFiles], superexec_poll_s: float | None = None
) -> Iterator[Deployment]:
    """A SuperLink and a SuperNode for each of `nodes`, ended with all of their children when the block is left.

    Args:
        directory: an empty one.
        nodes: what each SuperNode works on.
        superexec_poll_s: how often those that start processes look for work; None for Flower's own second.

    Raises:
        DeploymentError: one of them did not start.
    """
    deadline = monotonic() + START_S
    link_port, *node_ports = free_ports(1 + len(nodes))
    more = {} if superexec_poll_s is None else {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": str(superexec_poll_s)}
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *command: str) -> None:
        home = directory / name
        environment = _environment(home) | more
        with (directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [_BIN / command[0], *command[1:]], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        processes.append(process)

    try:
        link = ("--insecure", "--disable-runtime-dependency-installation", "--port", str(link_port))
        start("superlink", "flower-superlink", *link)
        _await_port(link_port, processes[0], directory / "superlink.log", deadline)
        for number, (node, port) in enumerate(zip(nodes, node_ports, strict=True), 1):
            config = f'tasks="{node.tasks}" project="{node.project}" state="{node.state}"'
            where = ("--superlink", f"127.0.0.1:{link_port}", "--port", str(port))
            start(f"supernode{number}", "flower-supernode", "--insecure", *where, "--node-config", config)
        logs = [directory / f"supernode{number}.log" for number in range(1, len(nodes) + 1)]
        ids = [_await_id(log, process, deadline) for log, process in zip(logs, processes[1:], strict=True)]
        _write_connection(directory / "cli", link_port)
        yield Deployment(directory, ids, [process.pid for process in processes])
    finally:
        _end(processes)


def _environment(home: Path) -> dict[str, str]:
    """Of a process whose own directory is `home`; it is made."""
    home.mkdir(exist_ok=True)
    return os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # Flower starts its other programs by their names.
        "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def _write_connection(home: Path, link_port: int) -> None:
    home.mkdir()
    lines = f'[superlink.{CONNECTION}]\naddress = "127.0.0.1:{link_port}"\ninsecure = true\n'
    (home / "config.toml").write_text(lines)


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path, deadline: float) -> None:
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        _require_alive(process, log, deadline)
        sleep(POLL_S)


def _await_id(log: Path, process: subprocess.Popen[bytes], deadline: float) -> int:
    """The number that the SuperLink gave a SuperNode, from the SuperNode's log: nothing else tells whose it is."""
    while (found := _NODE_ID.search(log.read_text(errors="replace"))) is None:
        _require_alive(process, log, deadline)
        sleep(POLL_S)
    return int(found[1])


def _require_alive(process: subprocess.Popen[bytes], log: Path, deadline: float) -> None:
    if process.poll() is not None or monotonic() > deadline:
        raise DeploymentError(f"{log.stem} did not start within {START_S:g} s:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes and all that they started, which end by themselves when these do, or else are killed."""
    children = [child for process in processes for child in _descendants(process.pid)]
    for process in processes:
        process.terminate()
    deadline = monotonic() + STOP_S
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - monotonic(), 0.0))
    while any(_began(pid) == began for pid, began in children) and monotonic() < deadline:
        sleep(POLL_S)
    for process in processes:
        process.kill()
        process.wait()
    for pid, began in children:
        if _began(pid) == began:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[tuple[int, str]]:
    """Children and theirs, each with when it began, so that a pid that was used again is not taken for one of them."""
    found: list[tuple[int, str]] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                found += [(child, _began(child)), *_descendants(child)]
    return found


def _proportional_bytes(pid: int) -> int:
    """0 of a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1_024 for line in lines if line.startswith("Pss:")), 0)


def _began(pid: int) -> str:
    """Clock ticks after boot; empty when there is no such process, or only what is left of one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
