from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.agent.raft.engine import RaftStatus, Role
from weftmesh.agent.recovery_service import Abandoned, refusal
from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1 import recovery_pb2


def status(voters: str, node: str = "a", quorum: bool = False, last_index: int = 10, last_term: int = 3) -> RaftStatus:
    return RaftStatus(
        node=node,
        role=Role.FOLLOWER,
        term=3,
        leader="b" if quorum else "",
        quorum=quorum,
        commit_index=8,
        applied_index=8,
        first_index=1,
        last_index=last_index,
        last_term=last_term,
        snapshot_index=0,
        pending=0,
        voters={name: f"{name}:1" for name in voters},
    )


def other(name: str, answers: bool, last_index: int = 0, last_term: int = 3) -> recovery_pb2.OtherVoter:
    return recovery_pb2.OtherVoter(name=name, answers=answers, last_index=last_index, last_term=last_term)


def test_a_survivor_of_three_or_of_five_may_go_on() -> None:
    assert refusal("a", status("abc"), [other("b", False), other("c", False)]) == ""
    assert refusal("a", status("abcde"), [other("b", True, 10), *(other(name, False) for name in "cde")]) == ""


def test_nobody_goes_on_alone_while_there_is_a_leader_or_a_majority() -> None:
    assert "has a quorum" in refusal("a", status("abc", quorum=True), [other("b", True), other("c", False)])
    assert "b answer: with a 2 of 3" in refusal("a", status("abc"), [other("b", True, 10), other("c", False)])
    assert "majority" in refusal("a", status("abcd"), [other("b", True), other("c", True), other("d", False)])


def test_an_observer_counts_for_nothing() -> None:
    two = [other("b", True, 10), other("c", False), other("d", False)]
    assert refusal("a", status("bcd"), two) == ""
    assert "majority" in refusal("a", status("bcd"), [other("b", True, 10), other("c", True, 10), other("d", False)])


def test_the_survivor_with_more_is_the_one_to_go_on() -> None:
    others = [other("b", True, 11), *(other(name, False) for name in "cde")]
    assert "Recover on b" in refusal("a", status("abcde"), others)


def test_a_long_tail_of_an_earlier_term_is_not_more() -> None:
    """It was acknowledged to nobody; a leader of the later term may have committed what is shorter."""
    later = [other("b", True, 8, last_term=4), *(other(name, False) for name in "cde")]
    assert "Recover on b" in refusal("a", status("abcde", last_index=10, last_term=3), later)
    earlier = [other("b", True, 10, last_term=3), *(other(name, False) for name in "cde")]
    assert refusal("a", status("abcde", last_index=8, last_term=4), earlier) == ""


def test_voters_that_were_given_up_are_remembered_across_restarts(tmp_path: Path) -> None:
    abandoned = Abandoned(tmp_path / "abandoned.json")
    assert "b" not in abandoned
    abandoned.add({"b", "c"})
    abandoned.add({"d"})
    assert all(name in Abandoned(tmp_path / "abandoned.json") for name in "bcd")
    assert "a" not in Abandoned(tmp_path / "abandoned.json")


@pytest.mark.parametrize("content", ["", "5", "{"])
def test_a_damaged_list_is_not_taken_for_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "abandoned.json").write_text(content)
    with pytest.raises(DataCorruptionError, match="Write it anew"):
        Abandoned(tmp_path / "abandoned.json")
