from __future__ import annotations

from pathlib import Path

from weftmesh.runtime.config import Config, load_config
from weftmesh.runtime.config_change import RunningSettings, named


def config(directory: Path, text: str) -> Config:
    path = directory / "weftmesh.toml"
    path.write_text(text)
    return load_config(path, environment={}, host="edge-7")


def test_the_same_configuration_changes_nothing(tmp_path: Path) -> None:
    running = RunningSettings(config(tmp_path, '[log]\nlevel = "info"\n'))
    assert running.take_over(config(tmp_path, "")) == ()


def test_what_is_live_is_taken_over_and_what_is_not_is_named(tmp_path: Path) -> None:
    running = RunningSettings(config(tmp_path, ""))
    changed = config(tmp_path, '[log]\nlevel = "debug"\n[raft]\nelection_timeout_ms = [2000, 3000]\n')

    changes = running.take_over(changed)

    assert [(one.is_live, str(one)) for one in changes] == [
        (False, "raft.election_timeout_ms ([1000, 1500] -> [2000, 3000])"),
        (True, "log.level (info -> debug)"),
    ]


def test_what_waits_for_a_restart_is_named_again_until_it_is_taken_back(tmp_path: Path) -> None:
    running = RunningSettings(config(tmp_path, ""))
    changed = config(tmp_path, "[raft]\nheartbeat_ms = 100\n[limits]\nwatchers = 7\n")

    assert named(running.take_over(changed)) == "raft.heartbeat_ms (250 -> 100), limits.watchers (256 -> 7)"
    assert named(running.take_over(changed)) == "raft.heartbeat_ms (250 -> 100)"
    assert named(running.take_over(config(tmp_path, ""))) == "limits.watchers (7 -> 256)"
