"""What the router is told on its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.core.errors import ConfigError, InvalidInputError
from weftmesh.router.config import parse_arguments


def configured(directory: Path) -> str:
    path = directory / "weftmesh.toml"
    path.write_text(
        f'[node]\nname = "node1"\ndata_dir = "{directory}/data"\nrun_dir = "{directory}/run"\n[mesh]\ngroup = "mesh"\n'
    )
    return str(path)


def test_the_node_s_configuration_says_all(tmp_path: Path) -> None:
    found = parse_arguments(["--config", configured(tmp_path)])
    assert found.socket == f"{tmp_path}/run/api.sock"
    assert found.listen == tmp_path / "run" / "router.sock"
    assert found.xds_socket == tmp_path / "run" / "xds.sock"
    assert found.state_dir == tmp_path / "data" / "router"
    assert found.group == "mesh"


def test_each_place_may_be_said(tmp_path: Path) -> None:
    found = parse_arguments(
        [
            *("--config", configured(tmp_path), "--state-dir", "/state", "--listen", "/run/r.sock"),
            *("--xds", "127.0.0.1:7878", "--log-level", "debug"),
        ]
    )
    assert (str(found.state_dir), str(found.listen), found.xds) == ("/state", "/run/r.sock", "127.0.0.1:7878")
    assert found.identity == tmp_path / "data" / "identity"
    assert found.log_level == "debug"


def test_a_socket_alone_needs_a_state_directory_and_no_file() -> None:
    assert str(parse_arguments(["--socket", "/run/a/api.sock", "--state-dir", "/s"]).listen) == "/run/a/router.sock"
    with pytest.raises(ConfigError, match="--state-dir"):
        parse_arguments(["--socket", "/run/a/api.sock"])


def test_xds_needs_a_certificate_and_an_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--identity"):
        parse_arguments(["--socket", "/run/api.sock", "--state-dir", "/s", "--xds", "127.0.0.1:7878"])
    with pytest.raises(InvalidInputError, match="is not an address"):
        parse_arguments(["--config", configured(tmp_path), "--xds", "nowhere"])
