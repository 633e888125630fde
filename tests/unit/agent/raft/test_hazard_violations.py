"""Each distinct violation that random schedules found in the original core, brought about directly on both cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fakes.raft_cluster import Cluster, on_both, with_settings


def with_snapshot(c: Cluster, name: str, index: int) -> None:
    """A node whose snapshot covers entries up to `index`, all of them of term 1."""
    c.fill(name, index, 1)
    c.settle_commit(name, index)
    c[name].compact()
    c.step(name)
    c[name].sync()
    c.step(name)


@on_both("any message without a previous entry moves the commit index over an unproven tail")
def test_hazard_v1_committed_entries_are_proven(core: str) -> None:
    with Cluster(core, "ABC") as c:
        with_snapshot(c, "A", 12)
        c.fill("B", 8, 1)
        c.receive("A", "B", c.snapshot_messages("A", 2)[0])
        assert c.commit("B") <= 2


@on_both("an older message truncates entries that were acknowledged")
def test_hazard_v2_only_conflicts_truncate(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.fill("B", 9, 1)
        c.append("B", "A", 1, (2, 1), 4, 2)
        assert max(c["B"].log()) == 9


@on_both("acknowledgements carry no term")
def test_hazard_v3_acknowledgements_of_another_term(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.lead("A", 3)
        c["A"].sync()
        before = c.commit("A")
        c.acknowledge("A", "B", 1, max(c["A"].log()))
        c.step("A", 0.0)
        assert c.commit("A") == before


@on_both("installing a snapshot clears the acknowledged entries behind it")
def test_hazard_v4_install_keeps_the_suffix(core: str) -> None:
    with Cluster(core, "ABC") as c:
        with_snapshot(c, "A", 8)
        c.fill("B", 12, 1)
        for message in c.snapshot_messages("A", 2):
            c.receive("A", "B", message)
        c["B"].sync()
        assert c["B"].applied_index in (2, 8)
        assert max(c["B"].log()) == 12


@on_both("a crash between the snapshot and the trim of the log clears the whole log at the next start")
def test_hazard_v4_start_keeps_the_suffix(core: str, tmp_path: Path) -> None:
    with Cluster(core, "ABC", directory=tmp_path) as c:
        c.fill("B", 12, 1)
        c.settle_commit("B", 8)
        c["B"].compact()
        c.step("B")
        if core == "hardened":
            header, rows = c["B"].jobs.pop()
            c["B"].snapshots.write(header, iter(rows))
        c.restart("B")
        c.step("B", 0.0)
        assert max(c["B"].log()) == 12
        assert c["B"].applied_index == 8


@on_both("an older snapshot is installed over newer state")
def test_hazard_v5_state_never_goes_back(core: str) -> None:
    with Cluster(core, "ABC") as c:
        with_snapshot(c, "A", 6)
        c.fill("B", 12, 1)
        c.settle_commit("B", 12)
        for message in c.snapshot_messages("A", 2):
            c.receive("A", "B", message)
        c["B"].sync()
        assert c["B"].applied_index == 12
        assert len(c.commands("B")) == 10


@on_both("chunks are glued over a gap, and the node still acknowledges")
def test_hazard_v6_a_gap_between_chunks(core: str) -> None:
    with Cluster(core, "ABC") as c:
        with_snapshot(c, "A", 40)
        messages = c.snapshot_messages("A", 2)
        assert len(messages) > 2
        for message in [messages[0], *messages[2:]]:
            c.receive("A", "B", message)
        c["B"].sync()
        assert not [message for message in c.queues["B", "A"] if acknowledges(message)]


def acknowledges(message: Any) -> bool:
    """Whether a message tells a leader that entries are in the log."""
    if isinstance(message, dict):
        return bool(message.get("success"))
    return bool(message.WhichOneof("kind") == "append_response" and message.append_response.accepted)


@on_both("back-off alternates between two wrong points while messages are pipelined")
def test_hazard_v7_a_conflicting_follower_catches_up(core: str) -> None:
    with Cluster(core, "ABC", settings=with_settings(append_limit_bytes=120)) as c:
        for node in c.nodes.values():
            node.core.conf.appendEntriesBatchSizeBytes = 120
        for name in "ABC":
            c.fill(name, 10, 1)
        c.fill("B", 32, 2)
        c.fill("A", 60, 3)
        c.fill("C", 60, 3)
        c.elect("A", "ABC")
        c["A"].write(b"new")
        c.pump("ABC", 60)
        assert c["B"].log() == c["A"].log()


@on_both("a next index beyond the log makes the leader send without a previous entry for ever")
def test_hazard_v8_next_index_beyond_the_log(core: str) -> None:
    with Cluster(core, "ABC") as c:
        for name in "ABC":
            c.fill(name, 10, 1)
        with_snapshot(c, "B", 10)
        c.fill("B", 30, 2)
        c.lead("A", 3)
        peer = next(peer for peer in c["A"].core._SyncObj__otherNodes if peer.id == "B")
        if core == "stock":
            c["A"].core._SyncObj__raftNextIndex[peer] = 5
        else:
            c["A"].core._progress[peer].next_index = 5
        for queue in c.queues.values():
            queue.clear()
        c.pump("ABC", 30)
        assert max(c["B"].log()) == max(c["A"].log())
        assert c["B"].log()[11][0] == 3


@on_both("request ids restart at 0, so a reply to the previous run acknowledges another command")
def test_hazard_v9_replies_to_a_previous_run(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.elect("A", "ABC")
        c["B"].write(b"of the first run")
        c.step("B", 0.0)
        c.deliver("B", "A")
        c.restart("B")
        c["A"].sync()
        c.pump("A", 1)
        c.queues["A", "B"], kept = type(c.queues["A", "B"])(), c.queues["A", "B"]
        c["B"].core._SyncObj__raftLeader = next(p for p in c["B"].core._SyncObj__otherNodes if p.id == "A")
        second = c["B"].write(b"of the second run")
        c.step("B", 0.0)
        c.queues["B", "A"].clear()
        c.queues["A", "B"] = kept
        c.pump("ABC", 10)
        assert b"of the first run" in c.commands("B")
        assert b"of the second run" not in c.commands("B")
        assert second.outcome != "ok"


@on_both("a forwarded command whose stream breaks never gets an answer")
def test_hazard_v9_callbacks_fire_when_the_stream_breaks(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.elect("A", "ABC")
        write = c["B"].write(b"forwarded")
        c.step("B", 0.0)
        c.link("A", "B", False)
        c.step("B", 0.0)
        assert write.outcome == "unknown"


@on_both("the sender loops without data while a snapshot is being written")
def test_hazard_v10_no_flood_while_a_snapshot_is_written(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.elect("A", "ABC")
        c.isolate("C")
        for number in range(20):
            c["A"].write(b"%d" % number)
        c.pump("AB", 6)
        c["A"].compact()
        c.pump("AB", 3)
        c["A"].write(b"more")
        c.pump("AB", 3)
        c.isolate("C", up=True)
        c["A"].compact()
        c.step("A", 0.0)
        c.step("A")
        assert len(c.queues["A", "C"]) < 10


@on_both("an older snapshot and a finished compaction empty the log, and every tick fails")
def test_hazard_v11_the_log_is_never_empty(core: str) -> None:
    with Cluster(core, "ABC") as c:
        with_snapshot(c, "A", 6)
        c.fill("B", 12, 1)
        c.settle_commit("B", 12)
        c["B"].compact()
        c.step("B")
        for message in c.snapshot_messages("A", 2):
            c.receive("A", "B", message)
        c["B"].sync()
        for _ in range(3):
            c.step("B")
        assert len(c["B"].core._SyncObj__raftLog) > 0
        c.append("B", "A", 2, (12, 1), 13, 12)
        assert c.last("B") == 13
