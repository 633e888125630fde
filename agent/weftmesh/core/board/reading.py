"""Lists of a board as it was at one revision, page by page, however much is written between the pages.

A revision makes at most one thing, so the revision at which something was made is both its place in the order of
creation and a position to go on from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from weftmesh.core.board.history import at_version, project_at_revision, version_at
from weftmesh.core.board.model import Conflict, Limits, Project, Task
from weftmesh.core.board.store import Store
from weftmesh.core.errors import InvalidInputError, OutOfRangeError

Predicate = Callable[[Task], bool]


class Cursor(NamedTuple):
    """Where the next page begins."""

    revision: int
    """The board revision that all pages reflect."""
    created_revision: int
    """When the last item seen was made."""
    number: int = 0
    """Of the last conflict seen; 0 in other lists."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks in order of creation; `next_cursor` is None on the last page."""

    tasks: tuple[Task, ...]
    next_cursor: Cursor | None
    revision: int


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """Some projects in order of creation."""

    projects: tuple[Project, ...]
    next_cursor: Cursor | None
    revision: int


@dataclass(frozen=True, slots=True)
class ConflictPage:
    """Some open conflicts with their tasks, in order of the tasks' creation."""

    conflicts: tuple[tuple[Task, Conflict], ...]
    next_cursor: Cursor | None
    revision: int


def list_tasks(
    store: Store,
    project_id: str | None,
    predicate: Predicate | None,
    *,
    after: Cursor | None,
    limit: int,
    at: int | None,
    show_deleted: bool,
    scan_limit: int | None,
) -> Page:
    """One page of tasks; see `Board.list_tasks`."""
    check_limit(limit)
    revision = page_revision(store, after, at)
    shown = _shown_projects(store, revision, show_deleted)
    order, tasks = store.in_order(project_id), store.tasks
    start = _position_after(store, order, after)
    found: list[Task] = []
    for position in range(start, len(order)):
        task = tasks[order[position]]
        if task.created_revision > revision:
            break
        if len(found) == limit or (scan_limit is not None and position - start >= scan_limit > 0):
            last = tasks[order[position - 1]].created_revision
            return Page(tuple(found), Cursor(revision, last), revision)
        past = task if task.revision <= revision else at_version(task, version_at(task.history, revision))
        if past.project_id not in shown or (past.deleted_stamp and not show_deleted):
            continue
        if predicate is None or predicate(past):
            found.append(past)
    return Page(tuple(found), None, revision)


def _position_after(store: Store, order: Sequence[str], after: Cursor | None) -> int:
    """Where the first task stands that was made after the cursor."""
    if after is None:
        return 0
    return bisect_right(order, after.created_revision, key=lambda task_id: store.tasks[task_id].created_revision)


def _shown_projects(store: Store, revision: int, show_deleted: bool) -> set[str]:
    past = (project_at_revision(project, revision) for project in store.projects.values())
    return {project.id for project in past if project is not None and (show_deleted or not project.deleted_stamp)}


def list_projects(store: Store, *, after: Cursor | None, limit: int, at: int | None, show_deleted: bool) -> ProjectPage:
    """One page of projects; see `Board.list_projects`."""
    check_limit(limit)
    revision = page_revision(store, after, at)
    found: list[Project] = []
    last = after.created_revision if after is not None else 0
    for project in store.projects.values():
        if not last < project.created_revision <= revision:
            continue
        if len(found) == limit:
            return ProjectPage(tuple(found), Cursor(revision, last), revision)
        last = project.created_revision
        past = project_at_revision(project, revision)
        if past is not None and (show_deleted or not past.deleted_stamp):
            found.append(past)
    return ProjectPage(tuple(found), None, revision)


def list_conflicts(
    store: Store, project_id: str | None, task_id: str | None, *, after: Cursor | None, limit: int
) -> ConflictPage:
    """One page of open conflicts; see `Board.list_conflicts`."""
    check_limit(limit)
    tasks = [store.tasks[one] for one in store.conflicted if task_id in (None, one)]
    tasks = [task for task in tasks if project_id in (None, task.project_id) and not task.deleted_stamp]
    tasks = [task for task in tasks if not store.projects[task.project_id].deleted_stamp]
    found: list[tuple[Task, Conflict]] = []
    last = (after.created_revision, after.number) if after is not None else (0, 0)
    for task in sorted(tasks, key=lambda task: task.created_revision):
        for conflict in task.conflicts:
            place = (task.created_revision, conflict.number)
            if place <= last:
                continue
            if len(found) == limit:
                return ConflictPage(tuple(found), Cursor(store.revision, *last), store.revision)
            last = place
            found.append((task, conflict))
    return ConflictPage(tuple(found), None, store.revision)


def page_revision(store: Store, after: Cursor | None, at: int | None) -> int:
    """The revision that a page reflects: the cursor's, the one asked for, or the present one."""
    revision = after.revision if after is not None else at or store.revision
    if at and at != revision:
        raise InvalidInputError(
            f"at_revision: is {at}, the page token is of revision {revision}; leave at_revision out"
        )
    if not 0 <= revision <= store.revision:
        raise OutOfRangeError(
            f"revision {revision} is not reached here; the board is at {store.revision}, ask again later"
        )
    return revision


def check_limit(limit: int) -> None:
    """Refuses a page without items or with too many."""
    if not 1 <= limit <= Limits.PAGE_ITEMS:
        raise InvalidInputError(f"page size: {limit} is not 1 to {Limits.PAGE_ITEMS}")
