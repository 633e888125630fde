"""Moving in and out on a real mesh: a token works on another node and after its leader was killed; a mirror follows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.integration.command_line import done, weftmesh

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.core.exchange.tokens import ImportToken

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

LONG_AGO_S = 1_000_000_000


def issues(count: int, **changes: object) -> str:
    return json.dumps(
        [
            {"number": n, "title": f"Issue {n}", "state": "OPEN", "url": f"https://github.com/acme/pump/issues/{n}"}
            | changes
            for n in range(1, count + 1)
        ]
    )


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return path


async def test_an_import_is_taken_back_on_another_node_after_the_leader_died(mesh: DevMesh, tmp_path: Path) -> None:
    path = written(tmp_path / "issues.json", issues(300))
    report = (await weftmesh(mesh.first, "--json", "import", "github", str(path))).json()
    assert (report["created"], report["problems"]) == (300, [])
    await done(mesh.first, "task", "set", "PUMP-7", "title=Mine now")
    leader = await mesh.leader()
    assert leader is not None
    await mesh.kill(leader)
    try:
        survivor = next(node for name, node in mesh.nodes.items() if name != leader)
        dry = await weftmesh(survivor, "--json", "import", "undo", report["undo"], "--dry-run")
        undone = await weftmesh(survivor, "--json", "import", "undo", report["undo"])
    finally:
        await mesh.restart(leader)

    for result in (dry, undone):
        assert result.code == 5, result.err
        found = json.loads(result.out)
        assert (found["deleted"], [kept["key"] for kept in found["kept"]]) == (299, ["PUMP-7"])
    restarted = mesh.node(leader)
    forced = (
        await weftmesh(restarted, "--json", "--timeout", "60", "import", "undo", report["undo"], "--force")
    ).json()
    assert (forced["deleted"], forced["already"]) == (1, 299)
    again = (await weftmesh(restarted, "--json", "import", "github", str(path))).json()
    assert (again["created"], again["restored"]) == (0, 300)


@pytest.mark.slow
async def test_what_is_exported_in_another_format_changes_nothing_when_it_comes_back(
    mesh: DevMesh, tmp_path: Path
) -> None:
    await done(mesh.first, "project", "add", "ROUND")
    await done(
        mesh.first, "task", "add", "ROUND", "Fix the pump", "labels+=two words", "due=2026-12-24", "priority=urgent"
    )
    await done(mesh.first, "task", "add", "ROUND", "Paint it", "depends_on+=ROUND-1", "estimate=0.5")
    for kind in ("github", "taskwarrior"):
        path = tmp_path / f"{kind}.json"
        await done(mesh.first, "export", kind, "ROUND", "--output", str(path))

        report = (await weftmesh(mesh.first, "--json", "import", kind, str(path))).json()

        assert (report["created"], report["updated"], report["unchanged"], report["problems"]) == (0, 0, 2, [])


async def test_a_mirror_shows_what_changed_and_leaves_edits_made_here(mesh: DevMesh, tmp_path: Path) -> None:
    path = written(tmp_path / "mirrored.json", issues(3))
    arguments = ["mirror", str(path), "--kind", "github", "--project", "MIRROR", "--once"]
    assert "created 3" in await done(mesh.first, *arguments)
    await done(mesh.first, "task", "set", "MIRROR-2", "title=Mine")

    written(path, issues(2, state="CLOSED"))
    result = await weftmesh(mesh.node("node2"), *arguments)

    assert result.code == 0, result.err
    assert "updated github:acme/pump#1: status" in result.out
    assert "marked: 1" in result.out
    assert "drift" in result.err
    assert "MIRROR-2 was edited here" in result.err
    task = (await weftmesh(mesh.node("node2"), "--json", "task", "show", "MIRROR-3")).json()["task"]
    assert (task["status"], bool(task["custom"]["vanished"])) == ("todo", True)


async def test_a_wrong_token_and_an_unknown_one_are_told_apart(mesh: DevMesh) -> None:
    mistyped = await weftmesh(mesh.first, "import", "undo", "ABCDE-FGHJK-MNPQR-STVWX")
    assert (mistyped.code, "mistyped" in mistyped.err) == (1, True)
    unknown = await weftmesh(mesh.first, "import", "undo", str(ImportToken(import_id=1, revision=0)))
    assert (unknown.code, "no task bears a trace" in unknown.err) == (7, True)
