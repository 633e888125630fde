from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.core.errors import ConfigError
from weftmesh.runtime.config import Config, load_config, validate_config

HOST = "edge-7.plant.example"


def write(directory: Path, text: str, name: str = "weftmesh.toml") -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def load(path: Path, **environment: str) -> Config:
    return load_config(path, environment=environment, host=HOST)


def complaints(path: Path, **environment: str) -> list[str]:
    return [str(problem) for problem in validate_config(path, environment=environment, host=HOST)]


def origin(config: Config, section: str, key: str) -> str:
    return next(setting.origin for setting in config.settings if (setting.section, setting.key) == (section, key))


def test_an_empty_file_means_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, ""))

    assert config.node.name == "edge-7"
    assert config.mesh.advertise == f"{HOST}:7450"
    assert config.raft.fsync is True
    assert {setting.origin for setting in config.settings} == {"default"}


def test_later_layers_win_and_are_named(tmp_path: Path) -> None:
    path = write(
        tmp_path, 'config_version = 1\n[node]\nname = "from-file"\n\n[raft]\nheartbeat_ms = 100\nfsync = true\n'
    )
    write(tmp_path, "[raft]\nheartbeat_ms = 110\n", "conf.d/20-site.toml")
    write(tmp_path, "[raft]\nheartbeat_ms = 120\nfsync = false\n", "conf.d/10-vendor.toml")

    config = load(path, WEFTMESH_NODE_NAME="from-environment", WEFTMESH_RAFT_ELECTION_TIMEOUT_MS="[400, 600]")

    assert config.node.name == "from-environment"
    assert config.raft.heartbeat_ms == 110
    assert config.raft.fsync is False
    assert config.raft.election_timeout_ms == (400, 600)
    assert origin(config, "node", "name") == "environment WEFTMESH_NODE_NAME"
    assert origin(config, "raft", "heartbeat_ms") == f"{tmp_path}/conf.d/20-site.toml:2"
    assert origin(config, "raft", "fsync") == f"{tmp_path}/conf.d/10-vendor.toml:3"
    assert origin(config, "log", "level") == "default"


def test_every_problem_is_reported_at_once_with_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[raft]\nheartbeat = 100\nfsync = "yes"\n\n[lgo]\nlevel = "info"\n[node]\ndata_dir = "var/lib"\nname = "Ä"\n',
    )

    with pytest.raises(ConfigError) as caught:
        load(path, WEFTMESH_LIMITS_WATCHERS="many")

    text = str(caught.value)
    assert f"{path}:2: [raft] heartbeat: unknown key 'heartbeat'; did you mean 'heartbeat_ms'?" in text
    assert f'{path}:3: [raft] fsync: found "yes", allowed is true or false' in text
    assert f"{path}:5: [lgo]: unknown section; did you mean 'log'?" in text
    assert f'{path}:8: [node] data_dir: found "var/lib", allowed is an absolute path' in text
    assert f'{path}:9: [node] name: found "Ä", allowed is 1 to 63 of' in text
    assert 'environment WEFTMESH_LIMITS_WATCHERS: [limits] watchers: found "many", allowed is an integer from 1' in text
    assert caught.value.metadata["problems"] == "6"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[raft]\nheartbeat_ms = true\n", "found true, allowed is an integer from 10 to 10000"),
        ("[raft]\nheartbeat_ms = 5\n", "found 5, allowed is an integer from 10 to 10000"),
        ("[raft]\nelection_timeout_ms = [900, 800]\n", "found [900, 800], allowed is [low, high] with low <= high"),
        ("[raft]\nelection_timeout_ms = [300, 800]\n", "must be at least 3 heartbeats"),
        ('[mesh]\nlisten = "localhost"\n', 'found "localhost", allowed is "HOST:PORT"'),
        ('[mesh]\nlisten = "h:70000"\n', 'found "h:70000", allowed is "HOST:PORT"'),
        ('[mesh]\nadvertise = "0.0.0.0:1"\n', "no other node can dial"),
        ('[log]\nlevel = "loud"\n', 'found "loud", allowed is one of "debug"'),
        ('[node]\nrun_dir = "/run/../etc"\n', "allowed is an absolute path"),
        ("config_version = 2\n", ":1: config_version: found 2, this release reads 1"),
        ("node = 3\n", "stands outside of any section"),
        ("[node\n", ":1: is not TOML"),
        pytest.param("[limits]\nwatchers = " + "1" * 5_000, ": is not TOML", id="a number without an end"),
        pytest.param("[limits]\nwatchers = " + "[" * 5_000, ": is not TOML", id="brackets without an end"),
    ],
)
def test_what_is_not_allowed_says_what_is(tmp_path: Path, text: str, said: str) -> None:
    (complaint,) = complaints(write(tmp_path, text))

    assert said in complaint


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    absent = tmp_path / "absent.toml"

    assert complaints(absent) == [f"{absent}: cannot be read: No such file or directory"]
    assert validate_config(None, environment={"WEFTMESH_CONFIG": str(absent)}, host=HOST)
    assert complaints(Path("weftmesh.toml")) == ["weftmesh.toml: the path of the configuration file must be absolute"]


def test_a_host_name_that_is_no_node_name_has_to_be_overridden(tmp_path: Path) -> None:
    path = write(tmp_path, "")

    (problem,) = validate_config(path, environment={}, host="my_laptop")

    assert (problem.section, problem.key) == ("node", "name")
    assert "comes from this host's name" in problem.message


@pytest.mark.parametrize(
    ("listen", "advertise"),
    [
        ("10.0.0.7:7000", "10.0.0.7:7000"),
        ("0.0.0.0:7000", f"{HOST}:7000"),
        ("[::]:7000", f"{HOST}:7000"),
        ("[fd00::7]:7000", "[fd00::7]:7000"),
    ],
)
def test_what_is_advertised_follows_what_is_listened_on(tmp_path: Path, listen: str, advertise: str) -> None:
    assert load(write(tmp_path, f'[mesh]\nlisten = "{listen}"\n')).mesh.advertise == advertise


def test_foreign_variables_are_left_alone(tmp_path: Path) -> None:
    assert complaints(write(tmp_path, ""), WEFTMESH_SOCKET="/run/x", WEFTMESH_CONFIG="/else", PATH="/bin") == []
    assert "did you mean 'fsync'" in complaints(write(tmp_path, ""), WEFTMESH_RAFT_FSYNK="true")[0]
