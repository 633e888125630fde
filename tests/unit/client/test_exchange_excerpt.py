"""The example data, and a whole export where it is at hand: both import without a problem."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import pytest

from weftmesh.client.exchange.mappings import build_mapping
from weftmesh.client.exchange.messages import create_request
from weftmesh.client.exchange.tables import read_table
from weftmesh.core.exchange.plan import plan_import
from weftmesh.core.exchange.tokens import ImportToken

ROOT = Path(__file__).parents[3]
EXCERPT = ROOT / "examples" / "board-excerpt.csv.gz"
WHOLE = ROOT.parent / "shared" / "data" / "board_jira_export.csv.gz"
ISSUES_PER_PROJECT_MAX = 200
BYTES_MAX = 600_000


def test_the_excerpt_imports_without_a_problem() -> None:
    table = read_table(EXCERPT, build_mapping("jira"))

    plan = plan_import(table.rows, (), {}, source="jira", file=str(EXCERPT))

    assert (table.problems, table.notes, plan.problems, plan.notes) == ((), (), (), ())
    assert len(plan.create) == len(table.rows) == 2_383
    assert len(plan.projects_to_create) == 12
    assert all(task.number_hint for task in plan.create)


def test_the_excerpt_is_an_excerpt() -> None:
    table = read_table(EXCERPT, build_mapping("jira"))

    per_project = Counter(row.project_id for row in table.rows)
    assert max(per_project.values()) <= ISSUES_PER_PROJECT_MAX
    assert EXCERPT.stat().st_size < BYTES_MAX


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("addresses", r"(?!someone@example\.org)\b[\w.+-]+@[\w-]+\.[a-z]{2,}"),
        ("links", r"(?:https?|ftp|ssh)://(?!example\.org/link|127\.0\.0\.1|localhost)[\w.-]+\.[a-z]{2,}"),
        ("accounts", r"\[~(?!someone\])"),
        ("home directories", r"(?i)(?:/home/|/Users/|\\Users\\)(?!someone)\w"),
        ("long hexadecimal numbers", r"\b(?=[0-9a-f]*\d)[0-9a-f]{24,}\b(?<!000000000000)"),
    ],
)
def test_the_excerpt_names_nobody(what: str, pattern: str) -> None:
    text = gzip.decompress(EXCERPT.read_bytes()).decode()

    assert re.findall(pattern, text) == [], what


@pytest.mark.skipif(not WHOLE.exists(), reason=f"the whole export is not here: {WHOLE}")
def test_a_whole_export_becomes_writes() -> None:
    table = read_table(WHOLE, build_mapping("jira"))

    plan = plan_import(table.rows, (), {}, source="jira", file=str(WHOLE))
    token = ImportToken(import_id=1, revision=0)

    assert (table.problems, plan.problems) == ((), ())
    ids = {create_request(planned, token).create_task.task_id for planned in plan.create}
    assert len(ids) == len(table.rows) == 15_792
