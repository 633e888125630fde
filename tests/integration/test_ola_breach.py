"""A breach between real nodes: one task, whoever leads, and it is closed with the evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.integration.learning_mesh import coordinating, eventually
from tests.integration.test_ola import CALL_S, applying
from tests.unit.core.ola_machine.agreed import PAYMENTS

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.client import Client
from weftmesh.coordinator.ola.duty import OlaDuty
from weftmesh.core.ola.model import OpenTask, RaiseClass, ServiceClass
from weftmesh.ola.v1 import agreement_pb2, command_pb2, ola_pb2
from weftmesh.runtime.clock import wall_ms

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

AGREED = replace(PAYMENTS, on_breach=(RaiseClass(ServiceClass.CRITICAL), OpenTask("OPS", "payments burns its budget")))
NOWHERE = OpenTask("NOWHERE", "a project that is not there")


async def tasks(client: Client, project: str = "OPS") -> list[board_pb2.Task]:
    """Tasks of a project, as the mesh has them."""
    consistency = board_pb2.READ_CONSISTENCY_LINEARIZABLE
    request = board_pb2.ListTasksRequest(parent=f"projects/{project}", consistency=consistency)
    return list((await client.board.list_tasks(request, timeout_s=CALL_S)).tasks)


async def raised_to(client: Client, revision: int) -> list[int]:
    request = ola_pb2.GetAgreementsRequest(min_revision=revision)
    return [one.raised_to for one in (await client.ola.get_agreements(request, timeout_s=CALL_S)).standings]


async def test_a_breach_opens_one_task_whoever_leads_and_closes_it_with_evidence(mesh: DevMesh) -> None:
    first = mesh.node(await mesh.settled())
    second = next(node for node in mesh.nodes.values() if node is not first)
    async with first.client() as client, second.client() as other:
        project = board_pb2.CreateProjectRequest(project_id="OPS", project=board_pb2.Project(title="Operations"))
        await client.board.create_project(project, timeout_s=CALL_S)
        agreed = replace(AGREED, on_breach=(NOWHERE, *AGREED.on_breach))
        await client.ola.change_agreements(applying(agreed), timeout_s=CALL_S)
        newest_s = wall_ms() // 300_000 * 300 - 300
        for number in range(12):
            count = command_pb2.ObjectiveCount(name=AGREED.name, objective="uptime", good=900, total=1_000)
            recorded = await client.ola.record_window(newest_s - number * 300, [count], timeout_s=CALL_S)

        await OlaDuty(client).look()
        (task,) = await tasks(client)
        assert (task.title, list(task.labels)) == ("payments burns its budget", ["ola-breach"])
        assert "payments-api uptime" in task.description
        assert await raised_to(other, recorded.revision + 2) == [agreement_pb2.SERVICE_CLASS_CRITICAL]

        await OlaDuty(other).look()
        assert [one.name for one in await tasks(other)] == [task.name]

        renamed = replace(AGREED, on_breach=(OpenTask("OPS", "another title"),))
        await client.ola.change_agreements(applying(renamed, seen=1), timeout_s=CALL_S)
        retirement = command_pb2.ApplyAgreements(retire=[command_pb2.Retirement(name=AGREED.name, seen=2)], why="moved")
        request = ola_pb2.ChangeAgreementsRequest(apply_agreements=retirement)
        await other.ola.change_agreements(request, timeout_s=CALL_S)
        await OlaDuty(other).look()
        (task,) = await tasks(client)
        assert task.status == board_pb2.TASK_STATUS_DONE
        assert task.description.endswith("over: the agreement was retired")
        (breach,) = (await other.ola.get_agreements(timeout_s=CALL_S)).breaches
        assert breach.ended_s


async def test_a_leader_killed_at_the_breach_leaves_one_task_all_the_same(mesh: DevMesh) -> None:
    """Whoever leads next carries on from what is in the log: the breach, but perhaps neither its task nor the class."""
    leader = await mesh.settled()
    follower = next(node for name, node in mesh.nodes.items() if name != leader)
    burning = replace(
        AGREED, name="search", service="search", on_breach=(*AGREED.on_breach[:-1], OpenTask("DUTY", "search burns"))
    )
    async with follower.client() as client:
        project = board_pb2.CreateProjectRequest(project_id="DUTY", project=board_pb2.Project(title="Duty"))
        await client.board.create_project(project, timeout_s=CALL_S)
        await client.ola.change_agreements(applying(burning), timeout_s=CALL_S)
        newest_s = wall_ms() // 300_000 * 300 - 300
        for number in range(12, 24):  # the test before recorded the newer ones
            count = command_pb2.ObjectiveCount(name=burning.name, objective="uptime", good=900, total=1_000)
            await client.ola.record_window(newest_s - number * 300, [count], timeout_s=CALL_S)
        async with coordinating(mesh) as coordinators:

            async def is_breached() -> bool:
                return any(one.name == burning.name for one in (await client.ola.get_agreements()).breaches)

            async def has_task() -> bool:
                return bool(await tasks(client, "DUTY"))

            await eventually(is_breached, 60.0, poll_s=0.001)  # the task follows within milliseconds
            coordinators.kill(leader)
            await mesh.kill(leader)
            await eventually(has_task, 60.0)
            found = await tasks(client, "DUTY")
        await mesh.restart(leader)
        await mesh.settled()
        await OlaDuty(client).look()
        assert [one.title for one in found] == ["search burns"]
        assert [one.name for one in await tasks(client, "DUTY")] == [one.name for one in found]
        view = await client.ola.get_agreements(timeout_s=CALL_S)
        assert [one.name for one in view.breaches if not one.ended_s] == ["search"]
