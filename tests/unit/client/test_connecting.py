"""Who may not open a node's socket is told so, not that nobody is there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from weftmesh.client import connect
from weftmesh.client.routing import connect_router
from weftmesh.core.errors import ForbiddenError, NodeUnreachableError

NOBODY = 65534


@contextmanager
def without_rights() -> Iterator[None]:
    """For a moment not root, if this is root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A directory that only root may enter, with a socket that is listened on."""
    path = tmp_path / "run"
    path.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path / "api.sock"))
        listener.listen()
        path.chmod(0)
        yield path
        path.chmod(0o700)


async def test_who_is_not_in_the_group_is_told_how_to_get_in(closed: Path) -> None:
    with without_rights(), pytest.raises(ForbiddenError, match="usermod --append --groups weftmesh USER"):
        async with connect(str(closed / "api.sock")):
            pass


async def test_a_router_s_socket_is_no_other(closed: Path) -> None:
    with without_rights(), pytest.raises(ForbiddenError, match="usermod --append --groups weftmesh USER"):
        async with connect_router(str(closed / "router.sock")) as router:
            await router.get_lanes(timeout_s=5)
    with without_rights(), pytest.raises(ForbiddenError):
        async with connect_router(str(closed / "router.sock")) as router:
            await router.get_routes()


async def test_where_nobody_listens_the_advice_is_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachableError, match="start it"):
        async with connect(str(tmp_path / "api.sock")):
            pass
