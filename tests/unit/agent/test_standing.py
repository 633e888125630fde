"""Who may speak Raft to a node, and what of that outlives its process."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.fakes.certificates import CertificateAuthority

from weftmesh.agent.raft.engine import RaftStatus, Role
from weftmesh.agent.recovery_service import Abandoned
from weftmesh.agent.removed import Removed
from weftmesh.agent.standing import Standing
from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.identity.authority import CLOCK_SKEW

AUTHORITY = CertificateAuthority()
LONG_AGO = timedelta(hours=2)
BEFORE = AUTHORITY.node("b", valid_from=-CLOCK_SKEW - LONG_AGO).certificate_pem
"""Issued before anything that happens here."""


def issued_after(duration: timedelta) -> bytes:
    """A certificate that was, or will be, issued then."""
    return AUTHORITY.node("c", valid_from=duration - CLOCK_SKEW).certificate_pem


def standing_in(directory: Path, *members: str) -> Standing:
    """That of a node which has just started and knows these members."""
    standing = Standing(Abandoned(directory / "abandoned.json"), Removed(directory / "removed.json"))
    standing.note(status(*members))
    return standing


def status(*members: str) -> RaftStatus:
    return RaftStatus(
        node="a",
        role=Role.FOLLOWER,
        term=1,
        leader="",
        quorum=False,
        commit_index=1,
        applied_index=1,
        first_index=1,
        last_index=1,
        last_term=1,
        snapshot_index=0,
        pending=0,
        voters={name: f"{name}:1" for name in members},
    )


async def test_a_removed_node_may_announce_its_removal_and_says_nothing_after_a_start(tmp_path: Path) -> None:
    standing = standing_in(tmp_path, "a", "b", "c")
    standing.note(status("a", "b"))
    assert standing.may_stream("c", BEFORE)
    again = standing_in(tmp_path, "a", "b")
    assert not again.may_stream("c", BEFORE)
    assert again.may_stream("b", BEFORE)


async def test_a_node_that_joined_while_this_one_was_away_is_heard(tmp_path: Path) -> None:
    assert standing_in(tmp_path, "a", "b").may_stream("new", BEFORE)


async def test_a_node_that_is_a_member_again_is_heard_and_stays_so(tmp_path: Path) -> None:
    standing_in(tmp_path, "a", "b", "c").note(status("a", "b"))
    again = standing_in(tmp_path, "a", "b")
    again.note(status("a", "b", "c"))
    assert again.may_stream("c", BEFORE)
    assert standing_in(tmp_path, "a", "b").may_stream("c", BEFORE)


async def test_a_node_that_knows_no_member_yet_hears_whoever_takes_it_in(tmp_path: Path) -> None:
    assert standing_in(tmp_path).may_stream("b", BEFORE)


async def test_a_node_that_joined_again_while_this_one_was_away_is_heard_by_a_newer_certificate(
    tmp_path: Path,
) -> None:
    standing_in(tmp_path, "a", "b", "c").note(status("a", "b"))
    again = standing_in(tmp_path, "a", "b")
    assert not again.may_stream("c", issued_after(-timedelta(minutes=5)))
    assert again.may_stream("c", issued_after(timedelta(seconds=5)))


@pytest.mark.parametrize("content", [b"{", b'["c"]', b'{"c": "yesterday"}'])
def test_a_file_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "removed.json").write_bytes(content)
    with pytest.raises(DataCorruptionError, match="Write it anew"):
        Removed(tmp_path / "removed.json")
