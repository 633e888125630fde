"""Commands that look at files look at those of the node whose socket is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weftmesh.cli.session import DEFAULT_CONFIG, Session


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """The directory of a node as `weftmesh dev` lays it out."""
    (tmp_path / "run").mkdir()
    (tmp_path / "weftmesh.toml").write_text(f'[node]\nname = "node2"\nrun_dir = "{tmp_path}/run"\n')
    return tmp_path


def followed(socket: str | None, config: Path | None = None) -> Path:
    session = Session()
    session.socket, session.config_path = socket, config
    session.follow_socket()
    return session.config_file


@pytest.mark.parametrize("scheme", ["", "unix:"])
def test_the_file_beside_the_socket_s_directory_is_taken(node: Path, scheme: str) -> None:
    assert followed(f"{scheme}{node}/run/api.sock") == node / "weftmesh.toml"


def test_a_file_that_was_named_goes_before_it(node: Path) -> None:
    assert followed(f"{node}/run/api.sock", node / "own.toml") == node / "own.toml"


def test_a_file_of_another_node_is_not_taken(node: Path) -> None:
    (node / "elsewhere").mkdir()
    assert followed(f"{node}/elsewhere/api.sock") == DEFAULT_CONFIG
    assert followed(f"{node}/run/deeper/api.sock") == DEFAULT_CONFIG
    assert followed(None) == DEFAULT_CONFIG


def test_a_file_that_does_not_hold_is_not_taken(node: Path) -> None:
    (node / "weftmesh.toml").write_text("[node\n")
    assert followed(f"{node}/run/api.sock") == DEFAULT_CONFIG


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_of_somebody_else_is_not_taken(node: Path) -> None:
    os.chown(node / "weftmesh.toml", 12_345, -1)
    assert followed(f"{node}/run/api.sock") == DEFAULT_CONFIG
