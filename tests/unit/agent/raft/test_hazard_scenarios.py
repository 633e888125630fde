"""Whole scenarios in which the original core loses, invents or wedges writes; both cores play each one."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.raft_cluster import NEVER_S, Cluster, on_both

from weftmesh.core.errors import DataCorruptionError


@on_both("a snapshot chunk moves the commit index over an unproven tail, and the lost write is reported as done")
def test_hazard_s1_lost_write_is_not_acknowledged(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.elect("A", "ABC")
        c.isolate("A")
        lost = c["A"].write(b"lost")
        c.step("A")
        c.step("A")
        c.elect("B", "BC")
        for number in range(20):
            c["B"].write(b"%d" % number)
        c.pump("BC", 6)
        c["B"].compact()
        c.pump("BC", 4)
        c.isolate("A", up=True)
        for _ in range(30):
            c.step("B")
            while c.deliver("B", "A", 1):
                c["A"].sync()
                c.step("A", 0.0)
                assert lost.outcome != "ok"
                assert b"lost" not in c.commands("A")
            c.deliver("A", "B")
        c.pump("ABC", 8)
        assert lost.outcome == "unknown"
        assert c.commands("A") == c.commands("B")


@on_both("acknowledgements carry no term: those of a replaced log count for another one")
def test_hazard_s2_stale_acknowledgements_do_not_commit(core: str) -> None:
    with Cluster(core, "ABCDE") as c:
        c.elect("A", "ABCDE")
        for name in "CDE":
            c.link("A", name, False)
        for number in range(5):
            c["A"].write(b"old %d" % number)
        for _ in range(2):
            c.step("A", 0.2)
            c["A"].sync()
        c.deliver("A", "B")
        c["B"].sync()
        for name in "CDE":
            c.link("B", name, False)
        c.elect("C", "CDE")
        for name in "CDE":
            c.link("A", name, True)
        c.pump("ACDE", 8)
        assert c["A"].log() == c["C"].log()
        win_votes(c, "A", "CDE")
        c["A"].write(b"new")
        for _ in range(2):
            c.step("A", 0.2)
            c["A"].sync()
        c.deliver("B", "A")
        c.step("A", 0.6)
        c.deliver("A", "C")
        c["C"].sync()
        c.deliver("C", "A")
        c.step("A", 0.01)
        committed = c.commit("A")
        assert len(c.holders(committed, c["A"].log()[committed][0])) >= 3


def win_votes(c: Cluster, name: str, voters: str) -> None:
    """Elect without replicating anything."""
    for node in c.nodes.values():
        node.core._SyncObj__raftElectionDeadline = NEVER_S
    for _ in range(8):
        c.world.now_s += 2
        c[name].core._SyncObj__raftElectionDeadline = 0
        c[name].tick()
        for voter in voters:
            c.deliver(name, voter)
            c.deliver(voter, name)
        if c.leads(name):
            break
    assert c.leads(name)
    for voter in voters:
        c.queues[name, voter].clear()
        c.queues[voter, name].clear()


@on_both("a re-sent older message truncates acknowledged entries, and the leader's death loses them")
def test_hazard_s3_acknowledged_writes_survive_the_leader(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.elect("A", "ABC")
        c.link("C", "A", False)
        c.link("C", "B", False)
        c["A"].write(b"first")
        c.step("A", 0.2)
        c.step("A", 0.2)
        writes = [c["A"].write(b"%d" % number + b"v" * 1000) for number in range(150)]
        for after_s in (0.0, 0.2):
            c.step("A", after_s)
            c["A"].sync()
        c.deliver("A", "B")
        c["B"].sync()
        c.deliver("B", "A", 2)
        c.step("A", 0.2)
        c.deliver("A", "B", 1)
        c["B"].sync()
        c.queues["A", "B"].clear()
        c.deliver("B", "A")
        c.step("A", 0.0)
        c.step("A", 0.0)
        if core == "hardened":
            c.pump("AB", 12)
        acknowledged = [write for write in writes if write.outcome == "ok"]
        assert acknowledged
        c.link("A", "B", False)
        c.link("B", "C", True)
        c.elect("B", "BC")
        c.pump("BC", 10)
        assert {write.command for write in acknowledged} <= set(c.commands("B"))


@on_both("a command that raises is applied again in every tick, for ever, on every node", fails_with=ValueError)
def test_hazard_s5_poison_command(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.elect("A", "ABC")
        c["A"].write(b"boom")
        after = c["A"].write(b"after")
        c.pump("ABC", 8)
        assert after.outcome == "ok"
        assert [c.commands(name) for name in "ABC"] == [[b"after"]] * 3


@on_both("a damaged snapshot is logged and swallowed: the node votes and acknowledges with an empty state")
def test_hazard_s9_damaged_snapshot(core: str, tmp_path: Path) -> None:
    with Cluster(core, "ABC", directory=tmp_path) as c:
        c.elect("A", "ABC")
        for number in range(50):
            c["A"].write(b"%d" % number)
        c.pump("ABC", 6)
        for name in "ABC":
            c[name].compact()
        c.pump("ABC", 3)
        assert len(c.commands("B")) == 50
        c.damage_snapshot("B")
        try:
            c.restart("B")
        except DataCorruptionError:
            return
        c.pump("ABC", 10)
        assert c.commands("B") == c.commands("A")
