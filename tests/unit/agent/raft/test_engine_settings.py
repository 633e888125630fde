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
    ],
)
def test_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="election times"):
        RaftSettings(**changes)  # type: ignore[arg-type]


def test_a_peer_hears_of_its_leader_even_while_an_answer_is_awaited() -> None:
    assert RaftSettings(election_min_s=0.8, election_max_s=1.0, resend_s=5.0).patience_s == 0.4
