"""The invariants of a board. What they say here in a few lines, the rest of the package keeps true."""

# ruff: noqa: S101 - assertions are what this module is for

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from weftmesh.core.board.hashing import HASH_MASK, change_hash, project_hash, request_hash, task_hash
from weftmesh.core.board.model import Change, Limits, Task, Verb
from weftmesh.core.board.requests import RequestMemory
from weftmesh.core.board.store import Store
from weftmesh.core.board.watchlog import WatchLog


def check_store(store: Store) -> None:
    """Asserts what holds of rows, of indexes, and between tasks."""
    for task in store.tasks.values():
        check_task(task, store.revision)
    _check_revisions(store)
    _check_indexes(store)
    _check_parents(store)
    _check_dependencies(store)


def check_task(task: Task, revision: int) -> None:
    """Asserts that a task agrees with its own history."""
    _check_history(task.history, task.version, task.revision, task.id)
    last = task.history[-1]
    assert task.revision <= revision, f"{task.key} is ahead of the board"
    assert (task.updated_stamp, task.updated_by) == (last.stamp, last.actor), f"{task.key}: who wrote last"
    assert task.created_stamp == task.history[0].stamp, f"{task.key}: created_stamp"
    deletions = [change.verb for change in task.history if change.verb in (Verb.DELETE, Verb.UNDELETE)]
    assert bool(task.deleted_stamp) == (deletions[-1:] == [Verb.DELETE]), f"{task.key}: deleted_stamp"
    stored = {change.conflict for change in task.history if change.verb is Verb.CONFLICT}
    settled = {change.conflict for change in task.history if change.verb is Verb.RESOLVE}
    assert set(task.conflicts) == stored - settled, f"{task.key}: open conflicts do not follow from the history"
    assert task.next_conflict_number == len(stored) + 1, f"{task.key}: next_conflict_number"


def _check_history(history: tuple[Change, ...], version: int, revision: int, owner: str) -> None:
    versions = [change.version for change in history]
    assert versions == list(range(1, version + 1)), f"{owner}: versions of the history are {versions}"
    assert history[0].verb is Verb.CREATE, f"{owner}: the history does not begin with CREATE"
    revisions = [change.revision for change in history]
    assert all(one < two for one, two in pairwise(revisions)), f"{owner}: revisions {revisions}"
    assert revision == revisions[-1], f"{owner}: revision"


def _check_revisions(store: Store) -> None:
    """Every revision is the change of exactly one row."""
    owners: list[Iterable[Change]] = [task.history for task in store.tasks.values()]
    owners += [project.history for project in store.projects.values()]
    revisions = sorted(change.revision for history in owners for change in history)
    assert revisions == list(range(1, store.revision + 1)), "revisions are not contiguous over all histories"


def _check_indexes(store: Store) -> None:
    assert store.order == list(store.tasks), "order of creation"
    created = [store.tasks[task_id].created_revision for task_id in store.order]
    assert created == sorted(created), "tasks are not in order of creation"
    assert store.conflicted == {task.id for task in store.tasks.values() if task.conflicts}, "tasks with conflicts"
    assert set(store.indexes) == set(store.projects), "an index for each project"
    for project in store.projects.values():
        _check_history(project.history, project.version, project.revision, project.id)
        tasks = [task for task in store.tasks.values() if task.project_id == project.id]
        index = store.indexes[project.id]
        assert index.order == [task.id for task in tasks], f"{project.id}: order"
        assert all(store.by_number(project.id, task.number) is task for task in tasks), f"{project.id}: numbers"
        assert len({task.number for task in tasks}) == len(tasks), f"{project.id}: a number is used twice"
        imported = [task for task in tasks if task.origin]
        assert index.by_origin == {task.origin: task.id for task in imported}, f"{project.id}: origins"
        assert len(index.by_origin) == len(imported), f"{project.id}: an origin is used twice"
        assert index.live == sum(not task.deleted_stamp for task in tasks), f"{project.id}: live tasks"
        highest = max((task.number for task in tasks), default=0)
        assert project.next_number == highest + 1, f"{project.id}: next_number"


def _check_parents(store: Store) -> None:
    rooted: set[str] = {""}
    for task in store.tasks.values():
        path: list[str] = []
        current = task.id
        while current not in rooted:
            assert current not in path, f"{task.key}: its parents run in a circle"
            path.append(current)
            current = store.tasks[current].parent
        rooted.update(path)


def _check_dependencies(store: Store) -> None:
    """Kahn's algorithm: without a circle, every task can be taken once what it waits for is taken."""
    waiting = {task.id: len(task.depends_on) for task in store.tasks.values()}
    dependents: dict[str, list[str]] = {}
    for task in store.tasks.values():
        for target in task.depends_on:
            dependents.setdefault(target, []).append(task.id)
    free = [task_id for task_id, count in waiting.items() if not count]
    taken = 0
    while free:
        taken += 1
        for dependent in dependents.get(free.pop(), ()):
            waiting[dependent] -= 1
            if not waiting[dependent]:
                free.append(dependent)
    assert taken == len(waiting), "dependencies run in a circle"


def check_memory(store: Store, requests: RequestMemory, watch: WatchLog) -> None:
    """Asserts that what is kept for retries and watchers is in order and within its limits."""
    assert not requests.is_beyond_limits(store.revision), "request memory is beyond its limits"
    assert all(one.order <= two.order for one, two in pairwise(requests)), "request memory is not in order"
    assert len(watch) <= Limits.WATCH_EVENTS, "watch log is beyond its limit"
    kept = [event.revision for event in watch.after(watch.floor)]
    assert kept == list(range(watch.floor + 1, store.revision + 1)), "watch log has gaps"


def check_hash(store: Store, requests: RequestMemory, state_hash: int) -> None:
    """Asserts that the increments left the hash that all rows have."""
    total = sum(map(request_hash, requests))
    for task in store.tasks.values():
        total += task_hash(task) + sum(change_hash(task.id, change) for change in task.history)
    for project in store.projects.values():
        total += project_hash(project) + sum(change_hash(project.id, change) for change in project.history)
    assert state_hash == total & HASH_MASK, "the state hash is not that of the rows"
