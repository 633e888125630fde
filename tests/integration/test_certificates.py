"""The authority is replaced and a node is revoked while the mesh is written to.

`python -m pytest -m slow -s tests/integration/test_certificates.py` prints the figures of docs/certificates.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.faults.clocks import ShiftedClocks
from tests.integration.command_line import weftmesh

from weftmesh.access.v1 import audit_log_pb2
from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.client import Client
from weftmesh.core.errors import ForbiddenError, NodeUnreachableError, PreconditionError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2, trust_pb2
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel
from weftmesh.runtime.identity.founding import identity_store, join_cluster
from weftmesh.runtime.identity.join_line import JoinLine

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.asyncio(loop_scope="function")]

PROJECT = "projects/LOAD"
WRITES_PER_S = 200
PATIENCE_S = 90.0
OUT_WITHIN_S = 60.0
DAY_S = 86_400

BEGIN, ISSUE = trust_pb2.ROTATION_STEP_BEGIN, trust_pb2.ROTATION_STEP_ISSUE
FINISH, ABANDON = trust_pb2.ROTATION_STEP_FINISH, trust_pb2.ROTATION_STEP_ABANDON


@dataclass
class Load:
    """What became of the writes."""

    acknowledged: int = 0
    failed: list[WeftmeshError] = field(default_factory=list)
    longest_s: float = 0.0


@asynccontextmanager
async def written_to(clients: Sequence[Client]) -> AsyncIterator[Load]:
    """Writes `WRITES_PER_S` tasks a second, to each node by turns, whether or not those before were answered."""
    load = Load()
    under_way: set[asyncio.Task[None]] = set()

    async def write(client: Client, number: int) -> None:
        begun = time.monotonic()
        request = board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title=f"task {number}"))
        try:
            await client.write(request, timeout_s=30)
        except WeftmeshError as error:
            load.failed.append(error)
        else:
            load.acknowledged += 1
        load.longest_s = max(load.longest_s, time.monotonic() - begun)

    async def pace() -> None:
        due = time.monotonic()
        for number, client in enumerate(cycle(clients)):
            task = asyncio.create_task(write(client, number))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += 1 / WRITES_PER_S
            await asyncio.sleep(due - time.monotonic())

    pacing = asyncio.create_task(pace())
    try:
        yield load
    finally:
        pacing.cancel()
        await asyncio.gather(*under_way)


async def until(holds: Callable[[], Any], what: str) -> float:
    """Seconds until `holds`, an async condition, is true."""
    begun = time.monotonic()
    while not await holds():
        assert time.monotonic() - begun < PATIENCE_S, what
        await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def step(client: Client, number: trust_pb2.RotationStep) -> trust_pb2.RotationView:
    return await client.trust.rotate_authority(trust_pb2.RotateAuthorityRequest(step=number), timeout_s=30)


async def look(client: Client) -> trust_pb2.RotationView:
    return await step(client, trust_pb2.ROTATION_STEP_UNSPECIFIED)


async def rotate(client: Client) -> dict[str, float]:
    """Goes through all phases; how many seconds each took."""

    async def nobody_is_behind(view: Callable[[trust_pb2.RotationView], Sequence[str]]) -> bool:
        return not view(await look(client))

    took_s: dict[str, float] = {}
    phases: list[tuple[str, trust_pb2.RotationStep, Callable[[trust_pb2.RotationView], Sequence[str]]]] = [
        ("begin", BEGIN, lambda view: view.not_trusting),
        ("issue", ISSUE, lambda view: view.not_certified),
        ("finish", FINISH, lambda _view: ()),
    ]
    for name, number, waiting in phases:
        begun = time.monotonic()
        await step(client, number)
        await until(partial(nobody_is_behind, waiting), f"{name}: members did not confirm")
        took_s[name] = time.monotonic() - begun
    return took_s


def identity_of(mesh: DevMesh, name: str) -> NodeIdentity:
    return NodeIdentity(identity_store(mesh.node(name).directory / "data").load())


async def clients_of(mesh: DevMesh, stack: AsyncExitStack) -> list[Client]:
    clients = [await stack.enter_async_context(node.client()) for node in mesh.nodes.values()]
    request = board_pb2.CreateProjectRequest(project_id="LOAD", project=board_pb2.Project(title="load"))
    await clients[0].board.create_project(request)
    await until(lambda: feature_is_ready(clients[0]), "the feature level was not raised")
    return clients


async def feature_is_ready(client: Client) -> bool:
    request = trust_pb2.RevokeCertificatesRequest(node="node3", reason="a try", validate_only=True)
    try:
        await client.trust.revoke_certificates(request, timeout_s=10)
    except PreconditionError as error:
        if error.reason != "FEATURE_NOT_READY":
            raise
        return False
    return True


async def serials(clients: Sequence[Client]) -> list[str]:
    return [(await client.trust.get_certificates(timeout_s=10)).own.serial for client in clients]


async def test_the_authority_is_replaced_and_a_node_revoked_under_load_without_a_failed_write(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path, 3) as mesh, AsyncExitStack() as stack:
        clients = await clients_of(mesh, stack)
        former = identity_store(mesh.first.directory / "data").load_authority().pin
        before = await serials(clients)
        async with written_to(clients) as load:
            await asyncio.sleep(1)
            took_s = await rotate(clients[0])
            begun = time.monotonic()
            for client in clients:
                await client.trust.renew_certificate(timeout_s=30)
            took_s["renew all"] = time.monotonic() - begun
            await asyncio.sleep(1)
        assert not load.failed
        assert not set(before) & set(await serials(clients))
        assert former not in (await clients[2].trust.get_certificates(timeout_s=10)).own.trusted
        shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took_s.items())
        print(f"\nrotation: {shown}; {load.acknowledged} writes, 0 failed, longest {load.longest_s:.2f} s")
        assert load.acknowledged > 0

        cut_s, load = await revoke_under_load(mesh, clients)
        assert not load.failed
        print(f"revocation: {cut_s}; {load.acknowledged} writes, 0 failed, longest {load.longest_s:.2f} s")

        await come_back(mesh, clients)


async def revoke_under_load(mesh: DevMesh, clients: Sequence[Client]) -> tuple[str, Load]:
    """Revokes node3, which watches node2 over its mesh port; when each way in was shut, in words."""
    identity = identity_of(mesh, "node3")
    async with (
        open_channel(identity, "node2", mesh.node("node2").listen) as channel,
        written_to(clients[:2]) as load,
    ):
        stub: Any = board_pb2_grpc.BoardServiceStub(channel)
        watch = stub.Watch(board_pb2.WatchRequest(parent=PROJECT))
        await watch.read()
        watching = asyncio.create_task(read_to_the_end(watch))
        begun = time.monotonic()
        revoke = trust_pb2.RevokeCertificatesRequest(node="node3", reason="laptop stolen")
        await clients[0].trust.revoke_certificates(revoke, timeout_s=30)
        said_s = time.monotonic() - begun
        ended = await asyncio.wait_for(watching, PATIENCE_S)
        watch_s = time.monotonic() - begun
        assert ended is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetProject(board_pb2.GetProjectRequest(name=PROJECT), timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await until(lambda: has_no_link(clients[0]), "node1 still sends to node3")
        await until(lambda: has_no_link(clients[1]), "node2 still sends to node3")
        out_s = time.monotonic() - begun
        await until(lambda: has_lost_the_quorum(clients[2]), "node3 still hears the others")
        listed = await clients[1].mesh.list_members(timeout_s=10)
        assert [member.name for member in listed.members if member.revoked] == ["node3"]
        await until(lambda: has_noted_the_revoked(clients[1]), "node2's audit log says nothing of what node3 tried")
    assert out_s < OUT_WITHIN_S
    return f"answered after {said_s:.3f} s, its watch cut after {watch_s:.3f} s, no link after {out_s:.3f} s", load


async def read_to_the_end(watch: Any) -> grpc.StatusCode:
    try:
        while await watch.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return await watch.code()  # type: ignore[no-any-return]  # generated, untyped


async def has_noted_the_revoked(client: Client) -> bool:
    request = audit_log_pb2.ReadAuditLogRequest(actor="node:node3", denied_only=True)
    records = [json.loads(one.payload) async for one in client.audit_log.read(request, timeout_s=30)]
    return any((one["reason"], one["method"]) == ("CERTIFICATE_REVOKED", "BoardService/GetProject") for one in records)


async def has_no_link(client: Client) -> bool:
    listed = await client.mesh.list_members(timeout_s=10)
    return not any(member.connected for member in listed.members if member.name == "node3")


async def has_lost_the_quorum(client: Client) -> bool:
    return not (await client.mesh.get_status(timeout_s=10)).quorum


async def come_back(mesh: DevMesh, clients: Sequence[Client]) -> None:
    """A revoked member that has its data joins again under a new key."""
    await mesh.kill("node3", signal.SIGTERM)
    config = load_config(mesh.node("node3").config_path, environment={})
    request = mesh_pb2.CreateJoinTokenRequest(node_name="node3")
    token = await clients[0].mesh.create_join_token(request, timeout_s=30)
    line = JoinLine.parse(token.join_command)
    await join_cluster(config, line, "node3", config.mesh.advertise, again=True)
    await mesh.restart("node3")
    await mesh.settled()
    async with mesh.node("node3").client() as back:
        assert (await back.mesh.get_status(timeout_s=10)).quorum


async def test_a_rotation_survives_crashes_of_the_authority_and_of_the_leader(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path, 3) as mesh, AsyncExitStack() as stack:
        clients = await clients_of(mesh, stack)
        with pytest.raises(PreconditionError, match="where the mesh was founded"):
            await step(clients[1], BEGIN)
        await step(clients[0], BEGIN)
        await step(clients[0], BEGIN)
        await restarted(mesh, "node1")
        async with mesh.first.client() as founder:
            await step(founder, BEGIN)
            await until(lambda: trusted_by_all(founder), "members did not confirm that they trust the new one")
            await step(founder, ISSUE)
        await restarted(mesh, "node1")
        await restarted(mesh, await mesh.settled())
        async with mesh.first.client() as founder:
            await step(founder, ISSUE)
            await until(lambda: certified_by_the_new_one(founder), "members did not renew")
            await step(founder, FINISH)
            await step(founder, FINISH)
        await restarted(mesh, "node1")
        async with mesh.first.client() as founder:
            view = await look(founder)
            assert (view.phase, [one.state for one in view.authorities]) == ("none", ["issuing"])
            assert identity_store(mesh.first.directory / "data").load_authority().pin == view.authorities[0].sha256
        assert not list((mesh.first.directory / "data" / "identity").glob("ca-next*"))


async def restarted(mesh: DevMesh, name: str) -> None:
    await mesh.kill(name)
    await mesh.restart(name)
    await mesh.settled()


async def trusted_by_all(client: Client) -> bool:
    return not (await look(client)).not_trusting


async def certified_by_the_new_one(client: Client) -> bool:
    return not (await look(client)).not_certified


async def test_a_member_that_is_away_holds_a_rotation_up_unless_it_is_named(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path, 3) as mesh, AsyncExitStack() as stack:
        clients = await clients_of(mesh, stack)
        await mesh.kill("node3")
        await step(clients[0], BEGIN)
        with pytest.raises(PreconditionError, match="node3"):
            await step(clients[0], ISSUE)
        await mesh.restart("node3")
        await mesh.settled()
        await until(lambda: trusted_by_all(clients[0]), "node3 did not confirm")
        await mesh.kill("node3")
        await step(clients[0], ISSUE)

        async def only_node3_lags() -> bool:
            return list((await look(clients[0])).not_certified) == ["node3"]

        await until(only_node3_lags, "node1 and node2 did not renew")
        with pytest.raises(PreconditionError, match="node3"):
            await step(clients[0], FINISH)
        forced = trust_pb2.RotateAuthorityRequest(step=FINISH, force_nodes=["node3"])
        assert (await clients[0].trust.rotate_authority(forced, timeout_s=30)).phase == "none"
        await come_back(mesh, clients)


async def test_the_leader_can_be_revoked_and_a_mesh_refuses_to_lose_its_quorum(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path, 3) as mesh, AsyncExitStack() as stack:
        clients = dict(zip(mesh.nodes, await clients_of(mesh, stack), strict=True))
        leader = await mesh.settled()
        others = [name for name in clients if name != leader]
        own = trust_pb2.RevokeCertificatesRequest(node=leader, reason="a try")
        with pytest.raises(PreconditionError, match="the node you talk to"):
            await clients[leader].trust.revoke_certificates(own, timeout_s=30)
        await clients[others[0]].trust.revoke_certificates(own, timeout_s=30)

        async def another_leads() -> bool:
            status = await clients[others[0]].mesh.get_status(timeout_s=10)
            return status.quorum and status.leader in others

        await until(another_leads, "nobody else was elected")
        task = board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title="goes on"))
        await clients[others[0]].write(task, timeout_s=30)
        last = trust_pb2.RevokeCertificatesRequest(node=others[1], reason="one too many")
        with pytest.raises(PreconditionError, match="1 of 3 voters are left"):
            await clients[others[0]].trust.revoke_certificates(last, timeout_s=30)


async def test_the_first_revocations_of_a_mesh_are_judged_alike_by_serial_number_and_by_name(tmp_path: Path) -> None:
    """Nobody has told the log of a certificate yet."""
    async with dev_mesh(tmp_path, 3) as mesh, AsyncExitStack() as stack:
        clients = await clients_of(mesh, stack)
        shown = await serials(clients)
        own = trust_pb2.RevokeCertificatesRequest(serial=shown[0], reason="a try")
        with pytest.raises(PreconditionError, match="the node you talk to"):
            await clients[0].trust.revoke_certificates(own, timeout_s=30)
        os.kill(mesh.node("node3").pid, signal.SIGSTOP)
        away = trust_pb2.RevokeCertificatesRequest(serial=shown[1], reason="a try")
        with pytest.raises(PreconditionError, match=r"1 of 3 voters are left \(no answer from node3\)") as caught:
            await clients[0].trust.revoke_certificates(away, timeout_s=30)
        assert caught.value.reason == "QUORUM_AT_RISK"
        os.kill(mesh.node("node3").pid, signal.SIGCONT)

        async def node3_answers() -> bool:
            members = await clients[0].mesh.list_members(timeout_s=10)
            return all(one.connected or one.name == "node1" for one in members.members)

        await until(node3_answers, "node3 did not come back")
        first = await clients[0].trust.revoke_certificates(away, timeout_s=30)
        assert (first.changed, first.node) == (True, "node2")
        for second in (
            trust_pb2.RevokeCertificatesRequest(serial=shown[2], reason="one too many"),
            trust_pb2.RevokeCertificatesRequest(node="node3", reason="one too many"),
        ):
            with pytest.raises(PreconditionError, match="1 of 3 voters are left"):
                await clients[0].trust.revoke_certificates(second, timeout_s=30)
        task = board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title="goes on"))
        await clients[0].write(task, timeout_s=30)


async def test_an_authority_whose_clock_runs_two_days_ahead_signs_nothing_until_it_is_corrected(tmp_path: Path) -> None:
    clocks = ShiftedClocks(3)
    try:
        async with dev_mesh(tmp_path, 3, place=clocks.place) as mesh, AsyncExitStack() as stack:
            clients = await clients_of(mesh, stack)
            before = await serials(clients)
            clocks.shift(mesh.first.name, 2 * DAY_S)
            for client in clients:
                with pytest.raises(PreconditionError, match=r"2\.0 days ahead of node2's"):
                    await client.trust.renew_certificate(timeout_s=30)
            with pytest.raises(PreconditionError) as caught:
                await step(clients[0], BEGIN)
            assert caught.value.reason == "CLOCK_DISAGREES"
            assert await serials(clients) == before
            clocks.shift(mesh.first.name, 0)
            for client in clients:
                await client.trust.renew_certificate(timeout_s=30)
            assert not set(before) & set(await serials(clients))
    finally:
        clocks.close()


async def test_a_node_whose_clock_was_wrong_by_weeks_writes_and_revokes_as_before_once_it_is_corrected(
    tmp_path: Path,
) -> None:
    clocks = ShiftedClocks(3)
    try:
        async with dev_mesh(tmp_path, 3, place=clocks.place) as mesh, AsyncExitStack() as stack:
            clients = await clients_of(mesh, stack)
            clocks.shift(mesh.first.name, 30 * DAY_S)
            await clients[0].board.create_task(task_named("written in a month"), timeout_s=30)
            clocks.shift(mesh.first.name, 0)
            written = await clients[0].board.create_task(task_named("written now"), timeout_s=30)
            assert abs(written.update_time.seconds - time.time()) < DAY_S
            revoked = trust_pb2.RevokeCertificatesRequest(node="node3", reason="laptop stolen")
            assert (await clients[0].trust.revoke_certificates(revoked, timeout_s=30)).changed
    finally:
        clocks.close()


def task_named(title: str) -> board_pb2.CreateTaskRequest:
    return board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title=title))


async def test_a_line_of_before_the_switch_is_refused_and_a_rotation_that_has_begun_can_be_given_up(
    tmp_path: Path,
) -> None:
    async with dev_mesh(tmp_path, 3) as mesh, AsyncExitStack() as stack:
        clients = await clients_of(mesh, stack)
        told = await weftmesh(mesh.first, "cert", "rotate-ca", "--dry-run")
        assert (told.code, told.out.splitlines()[1].split()[:2]) == (0, ["begin", "ready"])
        shown = await weftmesh(mesh.first, "cert", "show")
        assert [line.split()[:2] for line in shown.out.splitlines()[1:4]] == [
            [name, serial] for name, serial in zip(mesh.nodes, await serials(clients), strict=True)
        ]
        await step(clients[0], BEGIN)
        assert (await step(clients[0], ABANDON)).phase == "none"
        await step(clients[0], BEGIN)
        token = await clients[0].mesh.create_join_token(mesh_pb2.CreateJoinTokenRequest(), timeout_s=30)
        await until(lambda: trusted_by_all(clients[0]), "members did not confirm")
        assert (await step(clients[0], ISSUE)).live_tokens == 1
        line = JoinLine.parse(token.join_command)
        await until(partial(is_refused, mesh, line), "the enrolment port does not show the new authority")


async def is_refused(mesh: DevMesh, line: JoinLine) -> bool:
    """Whether the line is of another authority; while the port is opened anew nobody answers."""
    config = load_config(mesh.node("node3").config_path, environment={})
    with pytest.raises((ForbiddenError, NodeUnreachableError)) as refused:
        await join_cluster(config, line, "node3", config.mesh.advertise, again=True)
    return "not the one this line was made for" in str(refused.value)
