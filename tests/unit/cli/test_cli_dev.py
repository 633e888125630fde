from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from weftmesh.cli.dev_mesh import DevMesh, free_ports
from weftmesh.cli.dev_node import DevNode
from weftmesh.core.errors import DataCorruptionError, InvalidInputError, NotFoundError
from weftmesh.runtime.config import load_config


def node(directory: Path, pid: int = 0) -> DevNode:
    return DevNode("node1", directory / "node1", "127.0.0.1:7450", "127.0.0.1:7451", pid)


def test_ports_are_different_free_and_for_no_outgoing_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_ports(1)[0]))
        ports = set(free_ports(200))
        assert len(ports) == 200
        assert taken.getsockname()[1] not in ports
    assert max(ports) < 32_768, "Linux gives the ports from here on to outgoing connections"


def test_its_configuration_loads(tmp_path: Path) -> None:
    node(tmp_path).write_config(fsync=False)
    config = load_config(node(tmp_path).config_path, environment={})
    assert (config.node.name, config.raft.fsync, config.mesh.advertise) == ("node1", False, "127.0.0.1:7450")
    assert node(tmp_path).socket == config.node.run_dir / "api.sock"
    assert tomllib.loads(node(tmp_path).config_path.read_text())["config_version"] == 1


def test_a_socket_has_to_fit_into_its_address(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="shorter --dir"):
        node(tmp_path / ("x" * 100)).write_config(fsync=True)


def test_a_process_of_somebody_else_is_not_ours(tmp_path: Path) -> None:
    assert not node(tmp_path, os.getpid()).running
    assert not node(tmp_path).running
    assert not node(tmp_path, 2**22 + 1).running


def test_only_our_own_process_is_stopped(tmp_path: Path) -> None:
    ours = node(tmp_path)
    ours.directory.mkdir()
    code = "import time; time.sleep(60)"
    words = [sys.executable, "-c", code, "weftmesh.agent", "--config", str(ours.config_path)]
    with subprocess.Popen(words) as process, subprocess.Popen(words[:3]) as stranger:
        found = node(tmp_path, process.pid)
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.001)  # it is there a moment after the process
        assert found.running
        node(tmp_path, stranger.pid).send_signal(signal.SIGKILL)
        assert stranger.poll() is None
        asyncio.run(found.stop())
        assert not found.running
        assert process.wait(5) < 0
        stranger.kill()


def test_a_mesh_is_found_again(tmp_path: Path) -> None:
    mesh = DevMesh(tmp_path, fsync=False)
    mesh.nodes["node1"] = placed = node(tmp_path, 42)
    placed.prefix, placed.environment = ("ip", "netns", "exec", "one"), {"TZ": "UTC"}
    mesh.save()
    found = DevMesh.load(tmp_path)
    assert (found.nodes, found.fsync, found.first.name) == (mesh.nodes, False, "node1")
    assert json.loads((tmp_path / "mesh.json").read_text())["nodes"][0]["socket"].endswith("node1/run/api.sock")
    with pytest.raises(NotFoundError, match="node2"):
        found.node("node2")


def test_a_mesh_that_is_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="weftmesh dev up"):
        DevMesh.load(tmp_path)
    (tmp_path / "mesh.json").write_text("{")
    with pytest.raises(DataCorruptionError):
        DevMesh.load(tmp_path)


async def test_a_mesh_has_a_bounded_number_of_nodes(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="1 to 15"):
        await DevMesh(tmp_path).up(16)
