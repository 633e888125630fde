from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.cli.config_file import settle
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.config import Config

LISTEN = {("mesh", "listen"): "127.0.0.1:7450", ("node", "name"): "edge-7"}


def origin(config: Config, key: str) -> str:
    return next(setting.origin for setting in config.settings if setting.key == key)


def test_an_absent_file_is_written(tmp_path: Path) -> None:
    config, absent = settle(tmp_path / "weftmesh.toml", LISTEN)
    assert absent
    assert (config.node.name, config.mesh.listen) == ("edge-7", "127.0.0.1:7450")
    assert origin(config, "listen").startswith(f"{tmp_path}/weftmesh.toml:")


def test_what_a_package_s_file_leaves_open_is_set_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "weftmesh.toml"
    path.write_text('config_version = 1\n#[node]\n#name = "host"\n')
    config, absent = settle(path, LISTEN)
    assert not absent
    assert config.node.name == "edge-7"
    assert origin(config, "listen").startswith(f"{tmp_path}/conf.d/10-node.toml:")
    assert path.read_text() == 'config_version = 1\n#[node]\n#name = "host"\n'


def test_the_same_again_is_no_conflict_and_another_value_is(tmp_path: Path) -> None:
    path = tmp_path / "weftmesh.toml"
    path.write_text("")
    settle(path, LISTEN)
    settle(path, LISTEN)
    with pytest.raises(InvalidInputError, match=r"10-node.toml:\d+ has \[node\] name = edge-7, not edge-8"):
        settle(path, {("node", "name"): "edge-8"})


def test_what_the_file_says_is_never_overruled(tmp_path: Path) -> None:
    path = tmp_path / "weftmesh.toml"
    path.write_text('[node]\nname = "edge-1"\n')
    with pytest.raises(InvalidInputError, match="edge-1, not edge-7"):
        settle(path, {("node", "name"): "edge-7"})
    assert not (tmp_path / "conf.d").exists()


@pytest.mark.parametrize("text", [None, "config_version = 1\n"])
def test_a_dry_run_writes_nothing(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "weftmesh.toml"
    if text is not None:
        path.write_text(text)
    config, absent = settle(path, LISTEN, dry_run=True)
    assert (config.node.name, absent) == ("edge-7", text is None)
    assert list(tmp_path.iterdir()) == ([] if text is None else [path])


def test_a_dry_run_refuses_by_the_place_that_is_to_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "weftmesh.toml"
    path.write_text('[node]\nname = "edge-1"\n')
    with pytest.raises(InvalidInputError, match=f"{path}:2 has"):
        settle(path, {("node", "name"): "edge-7"}, dry_run=True)


def test_a_file_beside_it_that_says_nothing_of_the_option_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "weftmesh.toml"
    path.write_text("")
    settle(path, {("node", "name"): "edge-7"})
    with pytest.raises(InvalidInputError, match=r"10-node.toml is there already; set \[mesh\] listen"):
        settle(path, LISTEN)
