"""What is decided: by bindings where there are some, as ever where there are none, and never against root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.agent.access.access_bench import ANN, BACKUP, COORDINATOR, EVE, NODE, ROOT, AccessBench

from weftmesh.access.v1 import access_pb2
from weftmesh.agent.access.permissions import RULES, Rule
from weftmesh.agent.access.replica import RolesReplica
from weftmesh.agent.serving.callers import Caller
from weftmesh.board.v1 import board_pb2
from weftmesh.core.access.model import MESH
from weftmesh.core.access.roles import Permission, Role
from weftmesh.core.board.commands import CreateProject, CreateTask, Header
from weftmesh.core.errors import DataCorruptionError, ForbiddenError, NotFoundError, WeftmeshError

TASK_ID = "0" * 25 + "1"
BOARD = "/weftmesh.board.v1.BoardService/"
VIEW, EDIT, ADMINISTER = (Rule(one) for one in (Permission.VIEW, Permission.EDIT, Permission.ADMINISTER))


@pytest.fixture
def bench(tmp_path: Path) -> AccessBench:
    bench = AccessBench(tmp_path)
    board = bench.homes.mesh.board
    for number, project in enumerate(("OPEN", "PRIV"), 1):
        board.apply(CreateProject(Header("eve@n2", number), project, project))
    board.apply(CreateTask(Header("eve@n2", 3), "PRIV", TASK_ID, {"title": "secret"}))
    return bench


def allowed(bench: AccessBench, caller: Caller, rule: Rule, project: str) -> bool:
    return bench.authorizer.decide(caller, rule, project).allowed


def refusal(bench: AccessBench, caller: Caller, method: str, request: Any) -> WeftmeshError | None:
    try:
        bench.authorizer.admit(RULES[method], request, caller)
    except WeftmeshError as error:
        return error
    return None


def test_without_any_role_all_is_open_but_roles_themselves_and_the_audit_log(bench: AccessBench) -> None:
    for caller in (ANN, EVE, NODE, ROOT):
        assert allowed(bench, caller, ADMINISTER, "OPEN")
    change = access_pb2.ChangeAccessRequest()
    change.grant_role.subject = "user:eve"
    assert isinstance(refusal(bench, EVE, "/weftmesh.access.v1.AccessService/ChangeAccess", change), ForbiddenError)
    assert refusal(bench, ROOT, "/weftmesh.access.v1.AccessService/ChangeAccess", change) is None
    assert refusal(bench, EVE, "/weftmesh.access.v1.AuditLogService/ReadAuditLog", None) is not None


def test_a_projects_first_role_closes_that_project_alone(bench: AccessBench) -> None:
    bench.grant("user:ann", Role.EDITOR, "PRIV")
    assert allowed(bench, ANN, EDIT, "PRIV")
    assert not allowed(bench, ANN, ADMINISTER, "PRIV")
    assert not allowed(bench, EVE, VIEW, "PRIV")
    assert not allowed(bench, NODE, VIEW, "PRIV")
    assert allowed(bench, EVE, ADMINISTER, "OPEN")
    assert allowed(bench, EVE, ADMINISTER, MESH)


def test_a_projects_first_role_closes_what_gets_at_every_project(bench: AccessBench) -> None:
    over_all = [
        RULES[method]
        for method in (
            "/weftmesh.mesh.v1.BackupService/TakeBackup",
            "/weftmesh.mesh.v1.MeshService/CreateJoinToken",
            "/weftmesh.mesh.v1.TrustService/ReadmitCertificate",
            "/weftmesh.ola.v1.OlaService/ChangeAgreements",
        )
    ]
    assert all(allowed(bench, EVE, rule, MESH) for rule in over_all)
    bench.grant("user:ann", Role.ADMIN, "PRIV")
    for rule in over_all:
        assert not allowed(bench, EVE, rule, MESH)
        assert not allowed(bench, ANN, rule, MESH), "one project's admin has none of the others"
        assert allowed(bench, ROOT, rule, MESH)
    assert allowed(bench, BACKUP, over_all[0], MESH)


def test_the_meshs_first_role_closes_everything(bench: AccessBench) -> None:
    bench.grant("user:ann@n1", Role.ADMIN)
    for project in (MESH, "OPEN", "PRIV", "NOT_YET"):
        assert allowed(bench, ANN, ADMINISTER, project)
        assert not allowed(bench, EVE, VIEW, project)
    bench.grant("user:eve@n2", Role.EDITOR)
    assert not allowed(bench, EVE, VIEW, "OPEN"), "that is eve on another node"


def test_root_and_the_daemons_user_are_never_shut_out_and_it_shows(bench: AccessBench) -> None:
    bench.grant("user:ann", Role.ADMIN)
    own = Caller("daemon@n1", "daemon", "", os.geteuid(), 0, 1)
    for caller in (ROOT, own):
        decision = bench.authorizer.decide(caller, ADMINISTER, MESH)
        assert (decision.allowed, decision.basis) == (True, access_pb2.BASIS_BREAK_GLASS)


def test_the_packages_own_processes_go_on_under_roles(bench: AccessBench) -> None:
    bench.grant("user:ann", Role.ADMIN)
    serve, edit, backup = (
        RULES["/weftmesh.learning.v1.LearningService/Propose"],
        EDIT,
        RULES["/weftmesh.mesh.v1.BackupService/TakeBackup"],
    )
    assert allowed(bench, COORDINATOR, serve, MESH)
    assert allowed(bench, COORDINATOR, edit, "PRIV")
    assert not allowed(bench, COORDINATOR, ADMINISTER, MESH)
    assert allowed(bench, BACKUP, backup, MESH)
    assert not allowed(bench, BACKUP, serve, MESH)
    assert not allowed(bench, BACKUP, edit, "PRIV")
    assert not allowed(bench, EVE, serve, MESH)
    named_alike = Caller("node:weftmesh-coordinator", "", "weftmesh-coordinator")
    assert not allowed(bench, named_alike, serve, MESH)


def test_a_revoked_role_counts_no_longer_and_listeners_hear_of_it(bench: AccessBench) -> None:
    heard: list[bool] = []
    bench.authorizer.on_change(lambda: heard.append(allowed(bench, ANN, VIEW, "PRIV")))
    bench.grant("user:ann", Role.VIEWER, "PRIV")
    bench.grant("user:eve", Role.VIEWER, "PRIV")
    bench.revoke("user:ann", "PRIV")
    assert heard == [True, True, False]


def test_a_task_is_judged_by_where_it_is_and_not_by_what_its_name_says(bench: AccessBench) -> None:
    bench.grant("user:ann", Role.VIEWER, "PRIV")
    bench.grant("user:eve", Role.EDITOR, "OPEN")
    disguised = board_pb2.GetTaskRequest(name=f"projects/OPEN/tasks/{TASK_ID}")
    assert isinstance(refusal(bench, EVE, BOARD + "GetTask", disguised), NotFoundError)
    assert refusal(bench, ANN, BOARD + "GetTask", disguised) is None
    update = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=f"projects/OPEN/tasks/{TASK_ID}"))
    assert isinstance(refusal(bench, ANN, BOARD + "UpdateTask", update), ForbiddenError), (
        "to see it is not to change it"
    )


def test_a_refusal_names_the_role_the_place_and_who_can_grant_it(bench: AccessBench) -> None:
    bench.grant("user:ann", Role.ADMIN)
    error = refusal(bench, EVE, BOARD + "ListTasks", board_pb2.ListTasksRequest(parent="projects/PRIV"))
    assert isinstance(error, ForbiddenError)
    assert "project PRIV" in str(error)
    assert "user:ann" in str(error)
    assert "weftmesh access grant user:eve@n1 viewer PRIV" in str(error)
    assert error.metadata == {"role": "viewer", "project": "PRIV", "granters": "user:ann"}


def test_sight_follows_roles_as_they_change(bench: AccessBench) -> None:
    sight = bench.authorizer.sight(EVE)
    assert sight.everything
    bench.grant("user:ann", Role.VIEWER, "PRIV")
    assert not sight.everything
    assert (sight.sees("OPEN"), sight.sees("PRIV")) == (True, False)
    assert bench.authorizer.sight(ROOT).everything


def test_roles_that_were_known_hold_after_a_start_without_a_log(bench: AccessBench, tmp_path: Path) -> None:
    bench.grant("user:ann", Role.EDITOR, "PRIV")
    bench.grant("user:eve", Role.VIEWER, "PRIV")
    again = AccessBench(tmp_path)
    assert again.machine.access.revision == 0
    assert not allowed(again, NODE, VIEW, "PRIV")
    assert allowed(again, EVE, VIEW, "PRIV")
    for _ in range(3):
        again.grant("user:ann", Role.VIEWER, "OPEN")
        again.revoke("user:ann", "OPEN")
    assert again.replica.access is again.machine.access, "the log knows more by now"


def test_what_the_log_brings_again_after_a_start_is_not_told_again(bench: AccessBench, tmp_path: Path) -> None:
    bench.grant("user:ann", Role.EDITOR, "PRIV")
    again, told = AccessBench(tmp_path), list[str]()
    again.replica.on_events(lambda events: told.extend(event.subject for event in events))
    again.grant("user:ann", Role.EDITOR, "PRIV")
    assert told == []
    again.grant("user:eve", Role.VIEWER, "PRIV")
    assert told == ["user:eve"]


def test_a_damaged_memory_of_roles_stops_the_node(bench: AccessBench, tmp_path: Path) -> None:
    bench.grant("user:ann", Role.EDITOR, "PRIV")
    path = tmp_path / "roles"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataCorruptionError, match="the roles that this node knew last"):
        RolesReplica(bench.homes.mesh, path)
