"""A real node is told to read its configuration again, as `systemctl reload` does."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where the nodes of this test say how they do."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


async def told(supervisor: socket.socket, word: str) -> str:
    """The next thing said that has `word` in it."""
    while True:
        text = (await asyncio.get_running_loop().sock_recv(supervisor, 4_000)).decode()
        if word in text:
            return text


async def reload(node: DevNode, supervisor: socket.socket, text: str) -> str:
    """Append to the node's configuration and have it read; what it says of that."""
    with node.config_path.open("a") as stream:
        stream.write(text)
    os.kill(node.pid, signal.SIGHUP)
    assert "MONOTONIC_USEC=" in await told(supervisor, "RELOADING=1")
    return await told(supervisor, "READY=1")


async def test_a_reload_changes_what_it_can_and_names_the_rest(supervisor: socket.socket, tmp_path: Path) -> None:
    async with dev_mesh(tmp_path / "mesh", 1) as mesh:
        await told(supervisor, "READY=1")
        node = mesh.node("node1")
        said = await reload(node, supervisor, '[log]\nlevel = "debug"\n')
        assert said.endswith("STATUS=the configuration is in force")
        said = await reload(node, supervisor, "[limits]\nwatchers = 1\nreads_per_s = 2\nmax_message_bytes = 131072\n")
        assert said.endswith("STATUS=needs a restart for limits.max_message_bytes (4194304 -> 131072)")
        await refuses_a_second_watcher(node)
        await refuses_many_reads(node)


async def refuses_a_second_watcher(node: DevNode) -> None:
    request = board_pb2.WatchRequest(parent="projects/-", send_initial_state=True)
    async with grpc.aio.insecure_channel(f"unix:{node.socket}") as channel:
        stub = board_pb2_grpc.BoardServiceStub(channel)
        first = stub.Watch(request)
        await first.read()
        with pytest.raises(grpc.aio.AioRpcError, match="1 watchers are connected to this node already"):
            await stub.Watch(request).read()
        first.cancel()


async def refuses_many_reads(node: DevNode) -> None:
    """Two a second, and as many at once as come together in four."""
    async with grpc.aio.insecure_channel(f"unix:{node.socket}") as channel:
        read = board_pb2_grpc.BoardServiceStub(channel).ListProjects
        with pytest.raises(grpc.aio.AioRpcError, match="makes more than 2 reads a second"):
            await asyncio.gather(*(read(board_pb2.ListProjectsRequest()) for _ in range(50)))


async def test_a_broken_configuration_is_refused_and_the_node_serves_on(
    supervisor: socket.socket, tmp_path: Path
) -> None:
    async with dev_mesh(tmp_path / "mesh", 1) as mesh:
        await told(supervisor, "READY=1")
        node = mesh.node("node1")
        said = await reload(node, supervisor, '[log]\nlevel = "loud"\n')
        assert "the configuration is refused" in said
        async with node.client() as client:
            assert (await client.mesh.get_status()).quorum
        assert 'found "loud"' in node.last_words().replace("\\", ""), "the log does not say what is wrong"
