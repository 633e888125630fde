"""Real node processes with real certificates, on loopback."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    """Three nodes that the tests of one module share; a test that stops one starts it again."""
    async with dev_mesh(tmp_path_factory.mktemp("mesh"), 3) as running:
        yield running


@pytest.fixture
def real_export() -> Path:
    """The full Jira export, where this machine has it."""
    path = SHARED_DATA / "board_jira_export.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here: the full export is not part of the repository")
    return path


@pytest.fixture
def cli_environment() -> Callable[[Path], dict[str, str]]:
    """The environment for `weftmesh` against one node's socket."""

    def environment(socket: Path) -> dict[str, str]:
        return os.environ | {"WEFTMESH_SOCKET": str(socket), "NO_COLOR": "1"}

    return environment
