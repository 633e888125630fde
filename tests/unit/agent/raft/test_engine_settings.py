"""Timings that would depose a healthy leader are refused."""

from __future__ import annotations

import pytest

from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.core.errors import ConfigError


@pytest.mark.parametrize(
    "changes",
    [
        {"idle_heartbeat_s": 0.4},
        {"heartbeat_s": 0.0, "idle_heartbeat_s": 0.0},
        {"election_max_s": 1.0},
        {"resend_s": 1.0},
    ],
)
def test_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="election times"):
        RaftSettings(**changes)  # type: ignore[arg-type]


def test_the_defaults_fit() -> None:
    assert RaftSettings().election_min_s == 1.0
