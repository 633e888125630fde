"""The checks that judge what the members answered: peers, quorum, versions, names."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.doctor.patients import answer, patient, status, survey

from weftmesh.cli.doctor.findings import Severity
from weftmesh.cli.doctor.peers import check_peers
from weftmesh.cli.doctor.ports import unreached_from
from weftmesh.cli.doctor.quorum import check_quorum
from weftmesh.cli.doctor.versions import check_versions, ordered
from weftmesh.mesh.v1 import mesh_pb2

NODES = ("n1", "n2", "n3")
START = "systemctl start weftmesh-agent.service"
SILENT = {"failed_step": "connect", "error": "Connection refused", "refused": True}


def running(name: str, leader: str = "n1", **facts: str) -> mesh_pb2.NodeStatus:
    return status(name, NODES, leader=leader, **facts)


async def test_each_member_is_told_with_its_times(tmp_path: Path) -> None:
    peer = answer("n2", running("n2"), connect_s=0.001, tls_s=0.0123, answer_s=0.004)
    (found,) = await check_peers(patient(tmp_path, survey(running("n1"), peer)))
    assert found.severity is Severity.OK
    assert found.evidence == "n2:7450: connected in 1.0 ms, mutual TLS in 12.3 ms, answer in 4.0 ms"


@pytest.mark.parametrize(
    ("facts", "commands"),
    [
        (SILENT, [START]),
        ({"failed_step": "name", "error": "Name or service not known"}, []),
        ({"failed_step": "tls", "error": "certificate has expired"}, ["weftmesh token create --for n2"]),
        ({"failed_step": "answer", "error": "no answer in 3 s"}, ["systemctl restart weftmesh-agent.service"]),
        (
            {"failed_step": "connect", "error": "no answer in 2 s"},
            [START, "firewall-cmd --permanent --add-port=7450/tcp && firewall-cmd --reload"],
        ),
    ],
)
async def test_how_far_a_member_was_reached_says_what_mends_it(
    tmp_path: Path, facts: dict[str, object], commands: list[str]
) -> None:
    taken = survey(running("n1"), answer("n2", None, **facts))
    (found,) = await check_peers(patient(tmp_path, taken, programs=("firewall-cmd",)))
    assert found.severity is Severity.FAILURE
    assert str(facts["error"]) in found.evidence
    assert [fix.command for fix in found.fixes] == commands


async def test_an_observer_that_is_away_is_a_warning(tmp_path: Path) -> None:
    own = running("n1")
    own.members.add(name="n4", role=mesh_pb2.MEMBER_ROLE_OBSERVER)
    (found,) = await check_peers(patient(tmp_path, survey(own, answer("n4", None, **SILENT))))
    assert found.severity is Severity.WARNING


async def test_a_member_that_does_not_reach_this_node_is_named(tmp_path: Path) -> None:
    there = running("n2")
    (itself,) = (one for one in there.members if one.name == "n1")
    taken = survey(running("n1"), answer("n2", there))
    made = patient(tmp_path, taken, programs=("firewall-cmd",))

    (found,) = unreached_from(made, taken)
    assert (found.severity, found.evidence) == (Severity.WARNING, "n2 dials n1:7450, and has no stream")
    assert [fix.node for fix in found.fixes] == [""]
    itself.connected = True
    assert unreached_from(made, taken) == []


async def test_a_majority_that_follows_a_leader_takes_writes(tmp_path: Path) -> None:
    peers = (answer("n2", running("n2")), answer("n3", None, **SILENT))
    (found,) = await check_quorum(patient(tmp_path, survey(running("n1"), *peers)))
    assert found.severity is Severity.OK
    assert found.evidence == "2 of 3 voters answer (n1, n2), 2 are needed; led by n1"


async def test_without_a_majority_every_missing_voter_is_to_be_started(tmp_path: Path) -> None:
    peers = tuple(answer(name, None, **SILENT) for name in NODES[1:])
    (found,) = await check_quorum(patient(tmp_path, survey(running("n1", leader=""), *peers)))
    assert found.severity is Severity.FAILURE
    assert [(fix.node, fix.command) for fix in found.fixes] == [("n2", START), ("n3", START)]


async def test_while_this_node_is_down_its_peers_tell(tmp_path: Path) -> None:
    peers = tuple(answer(name, running(name, leader="n2")) for name in NODES[1:])
    (found,) = await check_quorum(patient(tmp_path, survey(None, *peers)))
    assert found.severity is Severity.OK
    assert "led by n2" in found.evidence


async def test_a_node_that_does_not_hear_the_leader_is_restarted(tmp_path: Path) -> None:
    peers = tuple(answer(name, running(name, leader="n2")) for name in NODES[1:])
    (found,) = await check_quorum(patient(tmp_path, survey(running("n1", leader=""), *peers)))
    assert found.severity is Severity.FAILURE
    assert [fix.command for fix in found.fixes] == ["systemctl restart weftmesh-agent.service"]


async def test_a_majority_without_a_leader_is_a_failure(tmp_path: Path) -> None:
    peers = tuple(answer(name, running(name, leader="")) for name in NODES[1:])
    (found,) = await check_quorum(patient(tmp_path, survey(running("n1", leader=""), *peers)))
    assert found.severity is Severity.FAILURE


async def test_where_only_this_node_may_be_asked_it_is_believed(tmp_path: Path) -> None:
    (found,) = await check_quorum(patient(tmp_path, survey(running("n1"), not_asked="Permission denied")))
    assert found.severity is Severity.OK
    assert "hears its leader n1" in found.evidence


async def test_nobody_who_knows_the_voters_is_no_finding(tmp_path: Path) -> None:
    (found,) = await check_quorum(patient(tmp_path, survey(None, not_asked="this node's certificate is not in force")))
    assert (found.severity, found.evidence) == (Severity.SKIPPED, "this node's certificate is not in force")


async def test_members_that_are_behind_are_upgraded(tmp_path: Path) -> None:
    peers = (answer("n2", running("n2", version="0.10.0")), answer("n3", running("n3", version="0.9.2")))
    (found,) = await check_versions(patient(tmp_path, survey(None, *peers)))
    assert found.severity is Severity.WARNING
    assert found.evidence == "n2 0.10.0, n3 0.9.2"
    assert [(fix.node, fix.command) for fix in found.fixes] == [("n3", "dnf upgrade --assumeyes weftmesh")]


async def test_an_agent_older_than_what_is_installed_is_restarted(tmp_path: Path) -> None:
    (found,) = await check_versions(patient(tmp_path, survey(running("n1", version="0.0.1"))))
    assert found.evidence.startswith("0.0.1 runs, ")
    assert [fix.command for fix in found.fixes] == ["systemctl restart weftmesh-agent.service"]


async def test_without_an_answer_no_version_is_compared(tmp_path: Path) -> None:
    (found,) = await check_versions(patient(tmp_path, survey(None)))
    assert found.severity is Severity.SKIPPED


def test_versions_are_compared_by_their_numbers() -> None:
    assert ordered("0.10.0") > ordered("0.9.9")
    assert ordered("1.0.dev1") < ordered("1.0.1")
