"""Tasks of a mirror that its file no longer has: marked, never closed and never deleted.

An export leaves tasks out for many reasons: deleted, moved, outside a limit or a filter. The mark, a custom field with
the time it was noticed, says only what is known, and goes when the task is in the file again. Where many vanish at
once, the file is the more likely one to be wrong, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from weftmesh.core.board.model import CUSTOM_PREFIX
from weftmesh.core.exchange import github_names
from weftmesh.core.exchange.planned import ExistingTask, ImportRules, PlannedUpdate
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.rows import ImportedTask

VANISHED_PATH: Final = f"{CUSTOM_PREFIX}vanished"
_FEW: Final = 10
"""As many may vanish at once whatever their share."""
_SHARE_MAX: Final = 0.5


@dataclass(frozen=True, slots=True)
class Vanished:
    """The marks to write, or why there are none."""

    update: tuple[PlannedUpdate, ...]
    problems: tuple[Problem, ...] = ()


def find_vanished(
    rows: Iterable[ImportedTask], tasks: Iterable[ExistingTask], source: str, file: str, rules: ImportRules
) -> Vanished:
    """Compares the origins of the file with those on the board.

    Args:
        rows: all of the file.
        tasks: all of the projects that the file names.
        source: the mapping's name.
        file: for problems.
        rules: with `overwrite`, any number may vanish.
    """
    present = {row.origin for row in rows}
    scopes = {_scope(origin, source) for origin in present} or {f"{source}:"}
    mirrored = [task for task in tasks if not task.deleted and _scope(task.origin, source) in scopes]
    gone = [task for task in mirrored if task.origin not in present and task.value(VANISHED_PATH) is None]
    if len(gone) > max(_FEW, _SHARE_MAX * len(mirrored)) and not rules.overwrite:
        message = (
            f"{len(gone)} of {len(mirrored)} tasks are no longer in the file; was the export cut short or filtered?"
        )
        return Vanished((), (Problem(file, 0, "", "", message, "export again, or mirror with --force"),))
    marks = (
        PlannedUpdate(task.name, task.origin, {VANISHED_PATH: rules.now}, 0, task.etag, {VANISHED_PATH: None})
        for task in gone
    )
    return Vanished(tuple(marks))


def _scope(origin: str, source: str) -> str:
    """What one file speaks for: a repository, or all of a tracker."""
    if source == github_names.NAME:
        return origin.rpartition("#")[0]
    return f"{origin.partition(':')[0]}:"
