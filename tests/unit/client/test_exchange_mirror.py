"""A mirror follows its file: changes, drift, what vanishes, and files that are not whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.fakes.board_gateway import MemoryBoard

from weftmesh.client.exchange.importer import ImportReport
from weftmesh.client.exchange.mirroring import Mirror, MirrorOptions
from weftmesh.client.exchange.sources import DocumentSource, github_source
from weftmesh.client.exchange.tables import Table
from weftmesh.core.errors import InvalidInputError, NoQuorumError

LONG_AGO_S = 1_000_000_000
SETTLE_S = 0.01


def issue(number: int, **changes: object) -> dict[str, object]:
    url = f"https://github.com/acme/pump/issues/{number}"
    return {"number": number, "title": f"Issue {number}", "state": "OPEN", "url": url, "labels": []} | changes


class Export:
    """The file that a tracker's export writes, always at another moment of the past."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = 0

    def write(self, issues: Iterable[dict[str, object]]) -> None:
        self.write_text(json.dumps(list(issues)))

    def write_text(self, text: str) -> None:
        self.path.write_text(text)
        self._written += 1
        os.utime(self.path, (LONG_AGO_S, LONG_AGO_S + self._written))


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path / "issues.json")


@pytest.fixture
def board() -> MemoryBoard:
    return MemoryBoard()


def mirror(export: Export, *, force: bool = False, skip_bad: bool = False) -> Mirror:
    return Mirror(export.path, github_source(), MirrorOptions(force=force, skip_bad=skip_bad, settle_s=SETTLE_S))


async def looked(mirrored: Mirror, board: MemoryBoard) -> ImportReport:
    report = await mirrored.look(board)
    assert report is not None
    return report


async def test_it_takes_the_file_when_it_has_changed_and_says_what_that_was(board: MemoryBoard, export: Export) -> None:
    mirrored = mirror(export)
    export.write([issue(1), issue(2)])
    assert (await looked(mirrored, board)).created == 2
    assert await mirrored.look(board) is None

    export.write([issue(1, state="CLOSED", title="One"), issue(2)])
    report = await looked(mirrored, board)

    assert report.changes == ("updated github:acme/pump#1: status, title",)
    assert report.undo


async def test_a_file_that_was_only_written_again_is_not_imported(board: MemoryBoard, export: Export) -> None:
    mirrored = mirror(export)
    export.write([issue(1)])
    await looked(mirrored, board)

    export.write([issue(1)])

    assert await mirrored.look(board) is None


async def test_an_edit_made_here_is_drift_and_stays_until_it_is_forced_back(board: MemoryBoard, export: Export) -> None:
    export.write([issue(1), issue(2)])
    await looked(mirror(export), board)
    board.edit("PUMP-1", title="Mine", assignee="ann")

    report = await looked(mirror(export), board)

    assert [(drift.line, drift.column) for drift in report.drift] == [(1, "title")]
    assert "PUMP-1 was edited here" in str(report.drift[0])
    assert (report.updated, board.task("PUMP-1").title) == (0, "Mine")
    forced = await looked(mirror(export, force=True), board)
    assert (forced.updated, forced.drift, board.task("PUMP-1").title) == (1, (), "Issue 1")
    assert board.task("PUMP-1").assignee == "ann", "a field that the file does not have is nobody's drift"


async def test_what_vanished_is_marked_and_the_mark_goes_when_it_is_back(board: MemoryBoard, export: Export) -> None:
    export.write(issue(number) for number in range(1, 5))
    await looked(mirror(export), board)

    export.write(issue(number) for number in range(1, 4))
    report = await looked(mirror(export), board)
    gone = board.task("PUMP-4")
    assert (report.vanished, report.updated) == (1, 1)
    assert gone.custom["vanished"]
    assert not gone.HasField("delete_time")
    again = await looked(mirror(export), board)
    assert (again.vanished, again.updated) == (0, 0)

    export.write(issue(number) for number in range(1, 5))
    assert (await looked(mirror(export), board)).updated == 1
    assert "vanished" not in board.task("PUMP-4").custom


async def test_tasks_of_other_repositories_and_of_people_do_not_vanish(board: MemoryBoard, export: Export) -> None:
    other = issue(9, url="https://github.com/acme/pump-docs/issues/9")
    source = github_source(project="PUMP")
    export.write([issue(1), other])
    options = MirrorOptions(settle_s=SETTLE_S)
    await looked(Mirror(export.path, source, options), board)

    export.write([issue(1)])

    assert (await looked(Mirror(export.path, source, options), board)).vanished == 0


async def test_when_most_vanish_at_once_nothing_is_written(board: MemoryBoard, export: Export) -> None:
    export.write(issue(number) for number in range(1, 31))
    await looked(mirror(export), board)
    revision = board.board.revision

    export.write([issue(1, title="One"), issue(2)])
    report = await looked(mirror(export), board)

    assert (report.written, board.board.revision) == (False, revision)
    assert "28 of 30 tasks are no longer in the file" in str(report.problems[0])
    assert (await looked(mirror(export, force=True), board)).vanished == 28


async def test_with_bad_entries_none_counts_as_vanished(board: MemoryBoard, export: Export) -> None:
    export.write([issue(1), issue(2)])
    await looked(mirror(export), board)

    export.write([issue(1, title="One"), issue(2, title="")])
    assert not (await looked(mirror(export), board)).written
    report = await looked(mirror(export, skip_bad=True), board)

    assert (report.updated, report.vanished) == (1, 0)


@pytest.mark.parametrize("cut", [1, 20, -1, -40])
async def test_half_a_file_is_not_taken(board: MemoryBoard, export: Export, cut: int) -> None:
    whole = json.dumps([issue(1), issue(2)])
    mirrored = mirror(export)
    export.write_text(whole[:cut])
    with pytest.raises(InvalidInputError, match="cut short"):
        await mirrored.look(board)
    assert board.board.revision == 0

    export.write_text(whole)
    assert (await looked(mirrored, board)).created == 2


async def test_a_file_that_changes_while_it_is_read_is_not_taken(board: MemoryBoard, export: Export) -> None:
    export.write([issue(1)])
    source = github_source()

    class Slow(DocumentSource):
        def read(self, path: Path) -> Table:
            table = source.read(path)
            export.write([issue(1), issue(2)])
            return table

    mirrored = Mirror(export.path, Slow(source.name, source.make_reader), MirrorOptions(settle_s=SETTLE_S))

    with pytest.raises(InvalidInputError, match="changed while it was read"):
        await mirrored.look(board)
    assert board.board.revision == 0


async def test_a_file_that_is_absent_now_may_be_there_later(board: MemoryBoard, export: Export) -> None:
    mirrored = mirror(export)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        await mirrored.look(board)

    export.write([issue(1)])
    assert (await looked(mirrored, board)).created == 1


async def test_what_could_not_be_written_is_written_at_the_next_look(board: MemoryBoard, export: Export) -> None:
    mirrored = mirror(export)
    export.write([issue(1)])
    board.fail_after_batches = 0
    with pytest.raises(NoQuorumError):
        await mirrored.look(board)

    board.fail_after_batches = None

    assert (await looked(mirrored, board)).created == 1
