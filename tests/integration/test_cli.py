"""The command line against a real mesh: what it changes, what it prints, and how it exits."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.command_line import Result, done, weftmesh

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.core.board.model import Limits

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SETTLE_S = 60.0


async def shown(mesh: DevMesh, key: str) -> dict[str, Any]:
    task: dict[str, Any] = (await weftmesh(mesh.first, "--json", "task", "show", key)).json()["task"]
    return task


async def revision(mesh: DevMesh) -> int:
    """The first node's board revision."""
    async with mesh.first.client() as client:
        return int((await client.mesh.get_status()).revision)


async def collide(mesh: DevMesh, project: str) -> str:
    """A new task with a conflict over its title; its key."""
    await done(mesh.first, "project", "add", project)
    key = await done(mesh.first, "task", "add", project, "as made")
    async with mesh.first.client() as client:
        seen = await client.board.get_task(board_pb2.GetTaskRequest(name=f"tasks/{key}"))
        for title, queued in (("mine", False), ("yours", True)):
            request = board_pb2.UpdateTaskRequest(task=seen, base=seen, queued=queued)
            request.task.title = title
            request.update_mask.paths.append("title")
            await client.board.update_task(request)
    return key


async def test_a_task_goes_through_its_life(mesh: DevMesh) -> None:
    await done(mesh.first, "project", "add", "LIFE", "--title", "A life")
    key = await done(mesh.first, "task", "add", "LIFE", "Fix the pump", "priority=high", "label+=water")
    assert key == "LIFE-1"

    await done(mesh.first, "task", "set", key, "title=Fix the pump now", "estimate=3", "custom.team=core")
    await done(mesh.first, "task", "start", key)
    await done(mesh.first, "task", "claim", key)
    refused = await weftmesh(mesh.first, "task", "claim", key, "--for", "somebody-else")
    assert refused.code != 0
    await done(mesh.first, "task", "done", key)

    task = await shown(mesh, key)
    assert (task["title"], task["status"], task["priority"]) == ("Fix the pump now", "done", "high")
    assert (task["labels"], task["estimate"], task["custom"]) == (["water"], 3, {"team": "core"})
    assert task["assignee"] == task["updated_by"].partition("@")[0]
    log = (await weftmesh(mesh.first, "--json", "task", "log", key)).json()["changes"]
    assert [change["verb"] for change in log] == ["create", "update", "update", "claim", "update"]
    assert "Fix the pump now" in await done(mesh.first, "task", "log", key)


async def test_a_change_is_taken_back(mesh: DevMesh) -> None:
    await done(mesh.first, "project", "add", "BACK")
    key = await done(mesh.first, "task", "add", "BACK", "first words")
    await done(mesh.first, "task", "set", key, "title=second words")
    await done(mesh.first, "task", "revert", key, "--to", "1")
    assert ((await shown(mesh, key))["title"], (await shown(mesh, key))["version"]) == ("first words", 3)
    await done(
        mesh.first, "task", "set", key, "label+=a", "due=2026-12-01", "estimate=3", "custom.team=x", "status=done"
    )
    full = await shown(mesh, key)
    await done(
        mesh.first, "task", "set", key, "label-=a", "due=", "estimate=", "custom.team=", "status=todo", "title=other"
    )
    await done(mesh.first, "task", "revert", key, "--to", "4")
    again = await shown(mesh, key)
    changed = {field for field in full if again[field] != full[field]}
    assert changed == {"version", "revision", "etag", "update_time"}
    late = await weftmesh(mesh.first, "task", "revert", key, "--to", "9")
    assert (late.code, "choose 1 to 6" in late.err) == (ExitCode.NOT_FOUND, True)
    future = await weftmesh(mesh.first, "export", "BACK", "--at-revision", "1000000")
    assert (future.code, future.out, "not reached" in future.err) == (ExitCode.ERROR, "", True)

    await done(mesh.first, "task", "rm", key)
    assert key not in await done(mesh.first, "task", "ls", "BACK")
    assert key in await done(mesh.first, "task", "ls", "BACK", "--deleted")
    await done(mesh.first, "task", "undelete", key)
    assert key in await done(mesh.first, "task", "ls", "BACK")


async def test_a_conflict_is_listed_and_settled(mesh: DevMesh) -> None:
    key = await collide(mesh, "SETTLE")
    (conflict,) = (await weftmesh(mesh.first, "--json", "task", "conflicts", "SETTLE")).json()["conflicts"]
    (field,) = conflict["fields"]
    assert (field["base"], field["yours"], field["theirs"]) == ("as made", "yours", "mine")
    assert "yours" in await done(mesh.first, "task", "show", key)

    await done(mesh.first, "task", "resolve", f"{key}/1", "--take", "title")

    assert (await shown(mesh, key))["title"] == "yours"
    assert (await weftmesh(mesh.first, "--json", "task", "conflicts", "SETTLE")).json()["conflicts"] == []


async def test_what_one_node_is_told_another_shows(mesh: DevMesh) -> None:
    await done(mesh.node("node2"), "project", "add", "SPREAD")
    key = await done(mesh.node("node3"), "task", "add", "SPREAD", "from node3")
    async with asyncio.timeout(SETTLE_S):
        while (await weftmesh(mesh.first, "task", "show", key)).code == ExitCode.NOT_FOUND:
            pass
    assert "node3" in (await shown(mesh, key))["updated_by"]


EXPECTED_CODES = [
    (0, ["task", "ls"]),
    (1, ["task", "set", "CODES-1", "estimate=much"]),
    (2, ["task", "frobnicate"]),
    (2, ["task", "revert", "CODES-1"]),
    (5, ["project", "add", "CODES"]),
    (7, ["task", "show", "CODES-999"]),
    (7, ["task", "ls", "NOSUCH"]),
]


async def test_exit_codes_tell_scripts_what_happened(mesh: DevMesh, tmp_path: Path) -> None:
    await done(mesh.first, "project", "add", "CODES")
    await done(mesh.first, "task", "add", "CODES", "a task")

    results = {tuple(arguments): await weftmesh(mesh.first, *arguments) for _, arguments in EXPECTED_CODES}
    unreachable = await weftmesh(tmp_path / "nobody.sock", "task", "ls")

    assert [(results[tuple(arguments)].code, arguments) for _, arguments in EXPECTED_CODES] == EXPECTED_CODES
    assert unreachable.code == 3
    assert str(tmp_path / "nobody.sock") in unreachable.err
    for result in (*results.values(), unreachable):
        assert "Traceback" not in result.err
        assert bool(result.err) == (result.code != 0)


async def test_errors_are_json_too_where_json_is_asked_for(mesh: DevMesh) -> None:
    result = await weftmesh(mesh.first, "--json", "task", "show", "NOSUCH-1")
    assert result.code == 7
    assert "NOSUCH-1" in json.dumps(json.loads(result.out))


LISTINGS = [
    ["task", "ls"],
    ["task", "ls", "--filter", "status=open", "LISTED"],
    ["task", "show", "LISTED-1"],
    ["task", "log", "LISTED-1"],
    ["task", "conflicts"],
    ["project", "ls"],
    ["project", "show", "LISTED"],
    ["members"],
    ["members", "ls"],
    ["token", "ls"],
    ["status"],
    ["version"],
    ["config", "show"],
    ["config", "show", "--origin"],
]


async def test_every_listing_is_one_json_object_where_asked(mesh: DevMesh) -> None:
    await done(mesh.first, "project", "add", "LISTED")
    await done(mesh.first, "task", "add", "LISTED", "a task")

    for listing in LISTINGS:
        assert isinstance((await weftmesh(mesh.first, "--json", *listing)).json(), dict), listing

    listed = json.loads(await done(mesh.first, "dev", "status", "--dir", str(mesh.directory), "--json"))
    assert [node["name"] for node in listed["nodes"]] == ["node1", "node2", "node3"]


async def test_the_status_says_how_well_the_node_does(mesh: DevMesh) -> None:
    await done(mesh.first, "project", "add", "MEASURED")
    status = (await weftmesh(mesh.first, "--json", "status")).json()

    assert len(status["state_hash"]) == 32
    assert int(status["state_hash"], 16) >= 0
    assert status["sync_latency"]["samples"] > 0
    assert 0 < status["sync_latency"]["p50"] <= status["sync_latency"]["p99"]
    assert status["version"] == (await weftmesh(None, "--json", "version")).json()["version"]


async def test_the_configuration_says_where_it_comes_from(mesh: DevMesh) -> None:
    path = mesh.first.config_path
    table = await done(mesh.first, "--config", str(path), "config", "show", "--origin")
    (listen,) = [line for line in table.splitlines() if line.startswith("mesh.listen")]
    assert mesh.first.listen in listen
    assert str(path) in listen
    assert any(line.startswith("log.level") and "default" in line for line in table.splitlines())


async def test_a_dry_run_changes_nothing(mesh: DevMesh) -> None:
    key = await collide(mesh, "DRYRUN")
    await done(mesh.first, "task", "add", "DRYRUN", "gone")
    await done(mesh.first, "task", "rm", "DRYRUN-2")
    before, tokens = await revision(mesh), await done(mesh.first, "token", "ls", "--json")
    commands = [
        ["project", "add", "DRYRUN2"],
        ["project", "set", "DRYRUN", "--title", "other"],
        ["project", "rm", "DRYRUN"],
        ["task", "add", "DRYRUN", "maybe"],
        ["task", "set", key, "title=maybe"],
        ["task", "start", key],
        ["task", "claim", key],
        ["task", "revert", key, "--to", "1"],
        ["task", "rm", key],
        ["task", "undelete", "DRYRUN-2"],
        ["task", "resolve", f"{key}/1", "--take-all"],
        ["members", "rm", "node3"],
        ["token", "create"],
    ]
    for arguments in commands:
        await done(mesh.first, *arguments, "--dry-run")
    await done(mesh.node("node2"), "leave", "--dry-run")
    authority = await weftmesh(mesh.first, "leave", "--dry-run")
    assert authority.code == 1
    assert "authority" in authority.err

    assert await revision(mesh) == before
    assert await done(mesh.first, "token", "ls", "--json") == tokens
    assert len((await weftmesh(mesh.first, "--json", "members")).json()["members"]) == 3
    refused = await weftmesh(mesh.first, "task", "set", key, "status=nonsense", "--dry-run")
    assert refused.code == 1


async def test_an_export_of_an_old_revision_is_the_export_of_then(mesh: DevMesh) -> None:
    await done(mesh.first, "project", "add", "PAST")
    for number in (1, 2, 3):
        await done(mesh.first, "task", "add", "PAST", f"task {number}", "label+=a", "due=2026-12-01 14:00 Europe/Oslo")
    then = {form: await done(mesh.first, "export", "PAST", "--format", form) for form in ("csv", "jsonl")}
    at = str(await revision(mesh))
    await done(mesh.first, "task", "set", "PAST-1", "title=changed", "due=", "label-=a", "depends_on+=PAST-3")
    await done(mesh.first, "task", "rm", "PAST-2")
    await done(mesh.first, "task", "add", "PAST", "task 4")

    for form in ("csv", "jsonl"):
        assert await done(mesh.first, "export", "PAST", "--format", form, "--at-revision", at) == then[form]
        assert await done(mesh.first, "export", "PAST", "--format", form) != then[form]


async def test_long_descriptions_are_listed_exported_and_watched(mesh: DevMesh, tmp_path: Path) -> None:
    """Together they exceed what one message may carry."""
    await done(mesh.first, "project", "add", "LONG")
    text = "x" * (Limits.DESCRIPTION_BYTES - 1)
    async with mesh.first.client() as client:
        for number in range(100):
            task = board_pb2.Task(title=f"task {number}", description=text)
            await client.board.create_task(board_pb2.CreateTaskRequest(parent="projects/LONG", task=task))
        for number in range(40):
            task = board_pb2.Task(name="projects/LONG/tasks/LONG-1", description=f"{number}{text}"[: len(text)])
            request = board_pb2.UpdateTaskRequest(task=task)
            request.update_mask.paths.append("description")
            await client.board.update_task(request)

    assert len((await weftmesh(mesh.first, "--json", "task", "ls", "LONG")).json()["tasks"]) == 100
    exported = tmp_path / "long.csv"
    report = (await weftmesh(mesh.first, "--json", "export", "LONG", "--output", str(exported))).json()
    assert report["tasks"] == 100
    assert exported.stat().st_size > 100 * len(text)
    assert len((await weftmesh(mesh.first, "--json", "task", "log", "LONG-1")).json()["changes"]) == 41
    watched = await done(mesh.first, "--json", "task", "watch", "LONG", "--initial", "--count", "101")
    assert len(watched.splitlines()) == 101


async def test_without_a_quorum_reads_go_on_and_writes_say_so(mesh: DevMesh) -> None:
    await done(mesh.first, "project", "add", "ALONE")
    others = [mesh.node("node2"), mesh.node("node3")]
    await asyncio.gather(*(node.stop() for node in others))
    try:
        add = ("--timeout", "4", "task", "add", "ALONE", "maybe", "--no-queue")
        refused: Result = await weftmesh(mesh.first, *add)
        assert refused.code in (1, 4), refused.err
        assert "request id" in refused.err if refused.code == 1 else "nothing was changed" in refused.err
        again = await weftmesh(mesh.first, *add)
        assert again.code == 4, again.err
        assert (await weftmesh(mesh.first, "task", "ls", "ALONE")).code == 0
        status = (await weftmesh(mesh.first, "--json", "status")).json()
        assert status["quorum"] is False
    finally:
        for node in others:
            await mesh.restart(node.name)
    await mesh.settled()
