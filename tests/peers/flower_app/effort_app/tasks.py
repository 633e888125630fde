"""A node's tasks from a file that `weftmesh export PROJECT --format jsonl` wrote on that node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from weftmesh.core.forecast.imported_times import CREATED, imported_s
from weftmesh.core.forecast.text import TaskText
from weftmesh.learner.node import LabelledTask


@dataclass(frozen=True, slots=True)
class ExportedTasks:
    """The tasks of one project, in the place of a node's board.

    Attributes:
        path: of the JSON lines.
    """

    path: Path

    def labelled_tasks(self, project_id: str) -> Sequence[LabelledTask]:
        """See `weftmesh.learner.node.Node`.

        Raises:
            OSError: the file cannot be read.
            KeyError: a line has not the fields of an export.
            ValueError: a line is no JSON, or a time in it no time.
        """
        with self.path.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        return [
            _task(row)
            for row in rows
            if row["name"].startswith(f"projects/{project_id}/")
            and row["status"] == "done"
            and row["estimate"] is not None
        ]


def _task(row: dict[str, object]) -> LabelledTask:
    custom, estimate = row["custom"], row["estimate"]
    assert isinstance(custom, dict)
    assert isinstance(estimate, float)
    imported = imported_s(custom.get(CREATED))
    return LabelledTask(
        name=str(row["name"]),
        version=int(str(row["version"])),
        created_s=_unix_s(row["created"]) if imported is None else imported,
        updated_s=_unix_s(row["updated"]),
        effort=estimate,
        text=TaskText(str(row["title"]), str(row["description"])),
    )


def _unix_s(stamp: object) -> float:
    return datetime.fromisoformat(str(stamp)).timestamp()
