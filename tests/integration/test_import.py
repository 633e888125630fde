"""Imports into a real mesh: all of it, once, and nothing of a file with mistakes unless asked for."""

from __future__ import annotations

import asyncio
import csv
import gzip
from pathlib import Path

import pytest
from tests.integration.command_line import done, weftmesh

from weftmesh.cli.dev_mesh import DevMesh

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

EXCERPT = Path(__file__).parents[2] / "examples" / "board-excerpt.csv.gz"
EXCERPT_TASKS = 2_383
EXCERPT_PROJECTS = 12
SETTLE_S = 60.0

GOOD_AND_BAD = """\
Key,Summary,State,Hours,Until,Text
ONE-1,Fix the pump,open,3,2026-12-01,
ONE-2,,open,1,2026-12-02,
ONE-3,Oil the hinge,perhaps,2,2026-12-03,
ONE-4,Paint the fence,open,many,2026-12-04,"the fence
and the gate"
ONE-5,Sweep the yard,done,1,the day after,
ONE-6,Close the gate,done,1,2026-12-06,
"""
_FIELDS = ("key=Key", "title=Summary", "status=State", "estimate=Hours", "due=Until", "description=Text")
_WORDS = ("status:open=todo", "status:done=done")
MAPS = [word for assignment in (*_FIELDS, *_WORDS) for word in ("--map", assignment)]
LATER = "Key,Summary,State,Hours,Until,Text\nTWO-1,One,{},1,2026-12-01,\nTWO-2,Two,open,1,2026-12-01,\n"


async def revision(mesh: DevMesh) -> int:
    """The first node's board revision."""
    async with mesh.first.client() as client:
        return int((await client.mesh.get_status()).revision)


async def test_the_excerpt_comes_in_once_however_often_it_is_imported(mesh: DevMesh) -> None:
    arguments = ["--json", "--timeout", "120", "import", "jira", str(EXCERPT)]
    dry = (await weftmesh(mesh.first, *arguments, "--dry-run")).json()
    assert (dry["created"], dry["written"], await revision(mesh)) == (EXCERPT_TASKS, False, 0)

    first = (await weftmesh(mesh.first, *arguments)).json()
    assert (first["created"], first["updated"], first["skipped"]) == (EXCERPT_TASKS, 0, 0)
    assert len(first["projects"]) == EXCERPT_PROJECTS
    after = await revision(mesh)

    second = (await weftmesh(mesh.node("node2"), *arguments)).json()
    assert (second["created"], second["updated"], second["unchanged"]) == (0, 0, EXCERPT_TASKS)
    assert await revision(mesh) == after

    async with asyncio.timeout(SETTLE_S), mesh.node("node3").client() as client:
        while (status := await client.mesh.get_status()).revision < after:  # noqa: ASYNC110, another process's state
            await asyncio.sleep(0.05)
        assert (status.tasks, status.projects) == (EXCERPT_TASKS, EXCERPT_PROJECTS)


async def test_an_export_comes_back_in_as_no_change(mesh: DevMesh, tmp_path: Path) -> None:
    await done(mesh.first, "project", "add", "ROUND")
    await done(mesh.first, "task", "add", "ROUND", "Fix the pump", "label+=a", "label+=b", "due=2026-12-01")
    await done(mesh.first, "task", "add", "ROUND", 'quotes " and, commas', "depends_on+=ROUND-1", "custom.team=core")
    path = tmp_path / "round.csv"
    await done(mesh.first, "export", "ROUND", "--output", str(path))

    report = (await weftmesh(mesh.first, "--json", "import", "weftmesh", str(path))).json()

    assert (report["created"], report["updated"], report["unchanged"]) == (0, 0, 2)
    assert report["problems"] == []


async def test_a_file_with_mistakes_changes_nothing_and_says_where_they_are(mesh: DevMesh, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(GOOD_AND_BAD)
    before = await revision(mesh)

    result = await weftmesh(mesh.first, "import", "csv", str(path), *MAPS)

    assert result.code == 1
    for line, column in ((3, "Summary"), (4, "State"), (5, "Hours"), (7, "Until")):
        (said,) = [text for text in result.err.splitlines() if f"{path}:{line}:" in text]
        assert column in said, said
        assert "; " in said, f"no word on how to mend it: {said}"
    assert "nothing was written" in result.err
    assert await revision(mesh) == before


async def test_the_good_rows_come_in_where_asked(mesh: DevMesh, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv.gz"
    path.write_bytes(gzip.compress(GOOD_AND_BAD.encode()))

    result = await weftmesh(mesh.first, "import", "csv", str(path), *MAPS, "--skip-bad")

    assert result.code == 1
    assert "created 2" in result.out
    assert "skipped 4" in result.out
    rows = list(csv.DictReader((await done(mesh.first, "export", "ONE")).splitlines()))
    assert [(row["title"], row["status"]) for row in rows] == [("Fix the pump", "todo"), ("Close the gate", "done")]


async def test_a_later_file_brings_what_has_changed_since(mesh: DevMesh, tmp_path: Path) -> None:
    path = tmp_path / "later.csv"
    path.write_text(LATER.format("open"))
    assert "created 2" in await done(mesh.first, "import", "csv", str(path), *MAPS)
    await done(mesh.first, "task", "set", "TWO-1", "assignee=ann")

    path.write_text(LATER.format("done"))
    assert "created 0, updated 1, unchanged 1" in await done(mesh.first, "import", "csv", str(path), *MAPS)

    task = (await weftmesh(mesh.first, "--json", "task", "show", "TWO-1")).json()["task"]
    assert (task["status"], task["assignee"]) == ("done", "ann")


async def test_what_is_no_table_is_refused_in_words(mesh: DevMesh, tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_bytes(b"\x00\xff\xfe not a table \x80")

    result = await weftmesh(mesh.first, "import", "jira", str(path))

    assert result.code == 1
    assert str(path) in result.err
    assert "Traceback" not in result.err


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_the_full_export_comes_in(mesh: DevMesh, real_export: Path) -> None:
    arguments = ["--json", "--timeout", "600", "import", "jira", str(real_export)]
    rows = (await weftmesh(mesh.first, *arguments, "--dry-run", timeout_s=600)).json()

    first = (await weftmesh(mesh.first, *arguments, timeout_s=1200)).json()

    assert first["created"] + first["updated"] + first["unchanged"] == sum(
        rows[count] for count in ("created", "updated", "unchanged")
    )
    assert (first["skipped"], first["problems"]) == (0, [])
    second = (await weftmesh(mesh.node("node2"), *arguments, timeout_s=600)).json()
    assert (second["created"], second["updated"]) == (0, 0)
