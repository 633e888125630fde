"""Which board a project's tasks live on."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.core.board.writer import ulid

from weftmesh.agent.board.homes import MESH, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, DeleteProject, Header
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import PreconditionError
from weftmesh.core.ids import parse_task_name
from weftmesh.runtime.wire.commands import encode_command

PATIENCE_S = 20.0


def make_home(name: str) -> Home:
    machine = LogMachines(name, HybridClock())
    return Home(name, machine, InMemoryEngine(machine), pending_writes_max=1_000)


async def write(home: Home, command: Command) -> None:
    outcome = await home.writer.submit(encode_command(command), asyncio.get_running_loop().time() + PATIENCE_S)
    assert outcome.ok, outcome.message


def header(number: int) -> Header:
    return Header("ann@n1", number, number.to_bytes(16, "big"))


@pytest.fixture
async def homes() -> Homes:
    """Projects OPEN (replicated), MINE (this node's) and THEIRS (another node's)."""
    homes = Homes(make_home(MESH), make_home("node:n1"))
    await write(homes.mesh, CreateProject(header(1), "OPEN", "Open"))
    await write(homes.mesh, CreateProject(header(2), "MINE", "", home="node:n1"))
    await write(homes.local, CreateProject(header(3), "MINE", "Known here only", home="node:n1"))
    await write(homes.mesh, CreateProject(header(4), "THEIRS", "", home="node:n2"))
    await write(homes.mesh, CreateTask(header(5), "OPEN", ulid(1), {"title": "open"}))
    await write(homes.local, CreateTask(header(6), "MINE", ulid(2), {"title": "mine"}))
    return homes


async def test_a_project_is_found_at_its_home(homes: Homes) -> None:
    assert homes.of_project("OPEN") is homes.mesh
    assert homes.of_project("MINE") is homes.local
    assert homes.of_project("UNHEARD") is homes.mesh


async def test_a_project_of_another_node_names_that_node(homes: Homes) -> None:
    with pytest.raises(PreconditionError, match="lives on node n2") as refused:
        homes.of_project("THEIRS")
    assert (refused.value.reason, refused.value.metadata) == ("PROJECT_ELSEWHERE", {"node": "n2"})


async def test_a_project_of_this_node_is_shown_in_full_here(homes: Homes) -> None:
    replicated = homes.mesh.board.project("MINE")
    theirs = homes.mesh.board.project("THEIRS")
    assert replicated is not None
    assert theirs is not None
    assert replicated.title == ""
    assert homes.visible_project(replicated).title == "Known here only"
    assert homes.visible_project(theirs) is theirs


async def test_a_deleted_project_of_this_node_is_not_listed_here(homes: Homes) -> None:
    await write(homes.local, DeleteProject(header(7), "MINE"))
    replicated = homes.mesh.board.list_projects().projects

    assert [project.id for project in homes.visible_projects(replicated, show_deleted=False)] == ["OPEN", "THEIRS"]
    shown = homes.visible_projects(replicated, show_deleted=True)
    assert [(project.id, bool(project.deleted_stamp)) for project in shown] == [
        ("OPEN", False),
        ("MINE", True),
        ("THEIRS", False),
    ]


async def test_a_project_of_this_node_is_found_while_the_mesh_board_is_behind(homes: Homes) -> None:
    behind = Homes(make_home(MESH), homes.local)

    found = behind.find_project("MINE")

    assert found is not None
    assert found.title == "Known here only"
    assert behind.of_project("MINE") is homes.local
    assert behind.find_project("OPEN") is None


async def test_a_task_is_found_by_its_id_and_by_its_key(homes: Homes) -> None:
    by_id = homes.mesh.find_task(parse_task_name(f"projects/OPEN/tasks/{ulid(1)}"))
    by_key = homes.mesh.find_task(parse_task_name("tasks/OPEN-1"))
    assert by_id is by_key is not None
    assert homes.mesh.project_of(ulid(1)) == "OPEN"


async def test_a_task_of_one_home_is_not_in_the_other(homes: Homes) -> None:
    assert homes.mesh.find_task(parse_task_name("tasks/MINE-1")) is None
    assert homes.local.find_task(parse_task_name("tasks/MINE-1")) is not None
    assert homes.mesh.project_of(ulid(2)) == "-"
