"""The egress ledger of a real node: recorded over the socket, killed, started again, tampered with, verified."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from tests.integration.command_line import done, weftmesh

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.client import Client
from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.core.hash_chain import Head
from weftmesh.privacy.v1 import privacy_pb2, privacy_pb2_grpc
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel
from weftmesh.runtime.identity.founding import identity_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LEARNING = privacy_pb2.EGRESS_CLASS_LEARNING
LOGS = privacy_pb2.EGRESS_CLASS_LOGS
KILLED_AFTER = 200
"""Records that are acknowledged before the kill."""


@pytest_asyncio.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path / "mesh", 1) as running:
        yield running


async def record(client: Client, number: int) -> Head:
    payload = f"payload {number}".encode()
    head = await client.privacy.record_payload(LEARNING, "node2", payload, f"test {number}")
    return Head(head.sequence, head.hash)


def newest_file(node: DevNode) -> Path:
    return max((node.directory / "data" / "egress").glob("*.egress"))


async def test_what_is_recorded_is_reported_and_verifies_after_a_restart(mesh: DevMesh) -> None:
    node = mesh.first
    async with node.client() as client:
        heads = [await record(client, number) for number in range(20)]
        logged = await client.privacy.record_payload(LOGS, "elk.example.org:5044", b"x" * 3_000_000, "log lines\x1b[2J")
    report = (await weftmesh(node, "--json", "privacy", "report", "--since", "1h")).json()
    assert [(one["egress_class"], one["peer"], one["payloads"]) for one in report["totals"]] == [
        ("learning", "node2", 20),
        ("logs", "elk.example.org:5044", 1),
    ]
    assert report["totals"][1]["size_bytes"] == 3_000_000

    await mesh.restart(node.name)
    async with node.client() as client:
        assert (await record(client, 21)).sequence == 22
    text = await done(node, "privacy", "report")
    assert "2.9 MiB" in text
    assert "anchor: 22:" in text
    lines = (await done(node, "privacy", "report", "--records", "--class", "logs")).splitlines()
    assert lines[0].endswith("to elk.example.org:5044: log lines [2J"), "nothing in it commands the terminal"
    assert not [one for one in lines if "learning" in one]
    digest = hashlib.sha256(b"payload 3").hexdigest()
    assert digest in await done(node, "--json", "privacy", "report", "--records", "--peer", "node2")

    passed = (await weftmesh(node, "--json", "privacy", "verify", "--against", str(heads[6]))).json()
    assert (passed["passed"], passed["records"], passed["anchor_found"]) == (True, 22, True)
    assert passed["head"]["sequence"] == 22
    noted = str(Head(logged.sequence, logged.hash))
    assert f"anchor={noted}" in node.log_path.read_text(), "the node notes the head when it starts"
    assert "up to and after record 21" in await done(node, "privacy", "verify", "--against", noted)


async def test_no_acknowledged_record_is_lost_when_the_node_is_killed_while_it_records(mesh: DevMesh) -> None:
    node = mesh.first
    acknowledged: list[Head] = []
    enough = asyncio.Event()

    async def keep_recording(client: Client, first: int) -> None:
        number = first
        while True:
            try:
                acknowledged.append(await record(client, number))
            except WeftmeshError:
                return
            number += 1
            if len(acknowledged) >= KILLED_AFTER:
                enough.set()

    async with node.client() as client:
        recorders = [asyncio.create_task(keep_recording(client, 100_000 * one)) for one in range(16)]
        await enough.wait()
        await mesh.kill(node.name, signal.SIGKILL)
        await asyncio.gather(*recorders)
    await mesh.restart(node.name)

    last = max(acknowledged)
    assert sorted(one.sequence for one in acknowledged) == list(range(1, last.sequence + 1))
    async with node.client() as client:
        for anchor in (acknowledged[0], acknowledged[len(acknowledged) // 2], last):
            head = privacy_pb2.LedgerHead(sequence=anchor.sequence, hash=anchor.hash)
            verification = await client.privacy.verify(head)
            assert verification.passed, verification.findings
            assert verification.anchor_found
        assert (await record(client, 1)).sequence > last.sequence


async def test_tampering_is_found_and_the_node_goes_on_behind_a_break_that_names_it(mesh: DevMesh) -> None:
    node = mesh.first
    async with node.client() as client:
        for number in range(30):
            noted = await record(client, number)
    await node.stop()
    path = newest_file(node)
    data = path.read_bytes()
    assert b"test 11" in data
    path.write_bytes(data.replace(b"test 11", b"test 77"))
    await mesh.restart(node.name)

    failed = await weftmesh(node, "privacy", "verify")
    assert failed.code == ExitCode.ERROR
    assert path.name in failed.out
    assert "FAILED" in failed.err
    async with node.client() as client:
        await record(client, 31)
    found = await weftmesh(node, "--json", "privacy", "verify", "--against", str(noted))
    assert found.code == ExitCode.ERROR
    assert "went on here" in found.out
    assert '"anchor_found": true' in found.out
    assert "the egress ledger is damaged" in node.log_path.read_text()


async def test_what_this_ledger_may_not_hold_is_refused_over_the_socket(mesh: DevMesh) -> None:
    async with mesh.first.client() as client:
        with pytest.raises(InvalidInputError, match="own ledger"):
            await client.privacy.record_payload(privacy_pb2.EGRESS_CLASS_HEALTH, "node2", b"level", "a level")
        with pytest.raises(InvalidInputError, match="no egress class"):
            await client.privacy.record_egress(privacy_pb2.RecordEgressRequest(peer="node2", why="test"))
    wrong = await weftmesh(mesh.first, "privacy", "verify", "--against", "12")
    assert (wrong.code, "SEQ:HASH" in wrong.err) == (ExitCode.ERROR, True)


async def test_the_mesh_port_does_not_know_the_service(mesh: DevMesh) -> None:
    node = mesh.first
    config = load_config(node.config_path, environment={})
    identity = NodeIdentity(identity_store(config.node.data_dir).load())
    async with open_channel(identity, node.name, node.listen) as channel:
        stub = privacy_pb2_grpc.PrivacyServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.VerifyLedger(privacy_pb2.VerifyLedgerRequest(), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
