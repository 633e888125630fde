"""The board machine: commands in, outcomes and events out. The same log gives the same state on every replica.

`apply` has three steps: a pure function in one of the `*_plans` modules says what the command comes to (or refuses),
the plan is laid into the store, and the answer is remembered under the request id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from weftmesh.core.board import project_plans, reading, task_plans, update_plans
from weftmesh.core.board.checking import check_hash, check_memory, check_store
from weftmesh.core.board.commands import (
    ClaimTask,
    Command,
    CreateProject,
    CreateTask,
    DeleteProject,
    DeleteTask,
    Header,
    ResolveConflict,
    RevertTask,
    UndeleteProject,
    UndeleteTask,
    UpdateProject,
    UpdateTask,
)
from weftmesh.core.board.dismantling import emptied
from weftmesh.core.board.evolve import evolved
from weftmesh.core.board.hashing import HASH_BYTES, HASH_MASK, change_hash, project_hash, task_hash
from weftmesh.core.board.history import at_revision, project_at_revision
from weftmesh.core.board.model import Project, Task
from weftmesh.core.board.outcomes import Event, Outcome, OutcomeKind, ProjectChanged, TaskChanged
from weftmesh.core.board.plans import Plan, ProjectWrite, Refusal, TaskWrite, Unchanged
from weftmesh.core.board.reading import ConflictPage, Cursor, Page, Predicate, ProjectPage
from weftmesh.core.board.requests import RequestMemory
from weftmesh.core.board.state import BoardState, EventRef
from weftmesh.core.board.store import Store
from weftmesh.core.board.story import task_story
from weftmesh.core.board.validate import check_header
from weftmesh.core.board.watchlog import WatchLog, rebuild_events

_PLANNERS: Final[Mapping[type[Any], Callable[[Store, Any], Plan]]] = {
    CreateProject: project_plans.plan_create_project,
    UpdateProject: project_plans.plan_update_project,
    DeleteProject: project_plans.plan_delete_project,
    UndeleteProject: project_plans.plan_undelete_project,
    CreateTask: task_plans.plan_create_task,
    UpdateTask: update_plans.plan_update_task,
    ClaimTask: task_plans.plan_claim_task,
    RevertTask: task_plans.plan_revert_task,
    DeleteTask: task_plans.plan_delete_task,
    UndeleteTask: task_plans.plan_undelete_task,
    ResolveConflict: update_plans.plan_resolve_conflict,
}


class Board:
    """Projects and tasks at one revision. Not safe for concurrent use; the values it hands out are immutable."""

    def __init__(self) -> None:
        self._store = Store()
        self._requests = RequestMemory()
        self._watch = WatchLog()
        self._commands_applied = 0
        self._stamp = 0
        self._hash = 0

    # Verbs

    def apply(self, command: Command) -> tuple[Outcome, tuple[Event, ...]]:
        """Executes `command`; at most one event, of the next revision, and none when nothing changed. Never raises."""
        self._commands_applied += 1
        header = command.header
        first = self.first_answer(header)
        if first is not None:
            return first, ()
        plan, outcome = self._decide(command)
        events = () if plan is None or isinstance(plan, Unchanged) else (self._commit(plan, header),)
        if self._remembers(header):
            self._hash += self._requests.remember(header.request_id, header.request_digest, outcome, outcome.revision)
        self._hash -= self._requests.forget_old(self._store.revision)
        self._hash &= HASH_MASK
        return outcome, events

    def preview(self, command: Command) -> Outcome:
        """What `apply` would answer; nothing changes."""
        first = self.first_answer(command.header)
        return self._decide(command)[1] if first is None else first

    def next_deadline(self) -> None:
        """A board has no timers."""

    def check(self) -> None:
        """Asserts every invariant; takes time in proportion to the board."""
        check_store(self._store)
        check_memory(self._store, self._requests, self._watch)
        check_hash(self._store, self._requests, self._hash)

    def story(self, ref: str) -> str:
        """What happened to the task with this id or key."""
        task = self._store.find(ref)
        return f"{ref}: no such task at revision {self.revision}" if task is None else task_story(task)

    def _decide(self, command: Command) -> tuple[Plan | None, Outcome]:
        revision = self._store.revision
        try:
            check_header(command.header)
            plan = _PLANNERS[type(command)](self._store, command)
        except Refusal as refusal:
            return None, _refused(refusal, revision)
        if isinstance(plan, Unchanged):
            return plan, Outcome(OutcomeKind.UNCHANGED, revision, plan.subject, current_version=plan.version)
        after = plan.after
        if isinstance(plan, ProjectWrite):
            return plan, Outcome(OutcomeKind.APPLIED, after.revision, after.id, current_version=after.version)
        return plan, Outcome(
            plan.kind,
            after.revision,
            after.id,
            collisions=plan.collisions,
            mergeable_paths=plan.mergeable_paths,
            current_version=after.version,
        )

    def first_answer(self, header: Header) -> Outcome | None:
        """What a request id that was seen before is answered."""
        first = self._requests.get(header.request_id)
        if first is None:
            return None
        if first.digest == header.request_digest:
            return first.outcome
        return Outcome(
            OutcomeKind.REQUEST_REUSED,
            self._store.revision,
            message=f"request id {header.request_id.hex()} was used for another request; send a new one",
        )

    @staticmethod
    def _remembers(header: Header) -> bool:
        return len(header.request_id) == HASH_BYTES

    def _commit(self, plan: TaskWrite | ProjectWrite, header: Header) -> Event:
        self._store.revision = plan.after.revision
        self._stamp = max(self._stamp, header.stamp)
        if isinstance(plan, TaskWrite):
            return self._commit_task(plan.before, plan.after)
        return self._commit_project(plan.before, plan.after)

    def _commit_task(self, before: Task | None, after: Task) -> TaskChanged:
        self._hash += task_hash(after) + change_hash(after.id, after.history[-1])
        if before is not None:
            self._hash -= task_hash(before)
        self._store.put_task(after)
        project = self._store.projects[after.project_id]
        if after.number >= project.next_number:
            self._store.put_project(evolved(project, next_number=after.number + 1))
        self._watch.append(EventRef(after.revision, after.project_id, after.id, after.version))
        return TaskChanged(after.revision, after, before)

    def _commit_project(self, before: Project | None, after: Project) -> ProjectChanged:
        change = after.history[-1]
        self._hash += project_hash(after) + change_hash(after.id, change)
        if before is not None:
            self._hash -= project_hash(before)
        self._store.put_project(after)
        self._watch.append(EventRef(after.revision, after.id, "", after.version))
        return ProjectChanged(after.revision, after, before, change.actor, change.stamp)

    # Reads

    @property
    def revision(self) -> int:
        """Up by one with every change; 0 for an empty board."""
        return self._store.revision

    @property
    def commands_applied(self) -> int:
        """Commands seen, refused ones and retries among them."""
        return self._commands_applied

    @property
    def stamp(self) -> int:
        """The latest stamp of any change."""
        return self._stamp

    @property
    def state_hash(self) -> str:
        """32 hexadecimal digits, equal where states are equal."""
        return self._hash.to_bytes(HASH_BYTES, "big").hex()

    @property
    def task_count(self) -> int:
        """Tasks that are not deleted."""
        return sum(index.live for index in self._store.indexes.values())

    @property
    def project_count(self) -> int:
        """Projects, deleted ones too."""
        return len(self._store.projects)

    @property
    def watch_floor(self) -> int:
        """`events_since` answers from this revision on."""
        return self._watch.floor

    def count_tasks(self, project_id: str) -> int:
        """Tasks of a project that are not deleted."""
        index = self._store.indexes.get(project_id)
        return 0 if index is None else index.live

    def project(self, project_id: str) -> Project | None:
        """A project, deleted or not."""
        return self._store.projects.get(project_id)

    def find_task(self, ref: str) -> Task | None:
        """A task by id or key, deleted or not."""
        return self._store.find(ref)

    def task_by_origin(self, project_id: str, origin: str) -> Task | None:
        """The task of a project that was imported from `origin`."""
        return self._store.by_origin(project_id, origin)

    def task_at(self, task: Task, revision: int) -> Task | None:
        """`task` as it was at `revision`; None if it was made later."""
        return at_revision(task, revision)

    def project_at(self, project: Project, revision: int) -> Project | None:
        """`project` as it was at `revision` (but for `next_number`); None if it was made later."""
        return project_at_revision(project, revision)

    def list_tasks(
        self,
        project_id: str | None = None,
        predicate: Predicate | None = None,
        *,
        after: Cursor | None = None,
        limit: int = 100,
        at_revision: int | None = None,
        show_deleted: bool = False,
        scan_limit: int | None = None,
    ) -> Page:
        """Tasks of one project, or of all, in order of creation.

        Args:
            project_id: None for all projects.
            predicate: what to show, such as `filter.parse_filter` makes; None for everything.
            after: where the page before ended; it carries the revision that all pages reflect.
            limit: 1 to `Limits.PAGE_ITEMS`.
            at_revision: 0 or None for the present one.
            show_deleted: deleted tasks, and tasks of deleted projects, too.
            scan_limit: tasks to look at before the page ends short; a short or empty page may have a next one.

        Raises:
            InvalidInputError: `limit` is out of range, or `at_revision` is not that of `after`.
            OutOfRangeError: the revision is not reached yet.
        """
        return reading.list_tasks(
            self._store,
            project_id,
            predicate,
            after=after,
            limit=limit,
            at=at_revision,
            show_deleted=show_deleted,
            scan_limit=scan_limit,
        )

    def list_projects(
        self,
        *,
        after: Cursor | None = None,
        limit: int = 100,
        at_revision: int | None = None,
        show_deleted: bool = False,
    ) -> ProjectPage:
        """Projects in order of creation; raises as `list_tasks` does."""
        return reading.list_projects(self._store, after=after, limit=limit, at=at_revision, show_deleted=show_deleted)

    def list_conflicts(
        self,
        project_id: str | None = None,
        task_id: str | None = None,
        *,
        after: Cursor | None = None,
        limit: int = 100,
    ) -> ConflictPage:
        """Open conflicts of one task, one project, or all, at present: what is settled between pages is left out."""
        return reading.list_conflicts(self._store, project_id, task_id, after=after, limit=limit)

    def events_since(
        self, revision: int, project_id: str | None = None, *, limit: int | None = None
    ) -> list[Event] | None:
        """The events after `revision`, of one project or of all; None when they are no longer kept.

        With `limit`, of the next so many revisions only; go on from `revision + limit`.
        """
        if revision < self._watch.floor:
            return None
        refs = self._watch.after(revision, limit)
        return rebuild_events(self._store, [ref for ref in refs if project_id in (None, ref.project_id)])

    # Snapshots

    def freeze(self) -> BoardState:
        """The whole state, of immutable values; takes a few milliseconds for a hundred thousand tasks."""
        return BoardState(
            revision=self._store.revision,
            commands_applied=self._commands_applied,
            state_hash=self._hash.to_bytes(HASH_BYTES, "big"),
            watch_floor=self._watch.floor,
            stamp=self._stamp,
            projects=tuple(self._store.projects.values()),
            tasks=tuple(self._store.tasks.values()),
            requests=tuple(self._requests),
            events=tuple(self._watch),
        )

    @classmethod
    def thaw(cls, state: BoardState) -> Board:
        """A board with that state. The hash is taken as stored; `check` verifies it."""
        board = cls()
        board._store = Store(state.revision)
        for project in state.projects:
            board._store.put_project(project)
        for task in state.tasks:
            board._store.put_task(task)
        board._requests = RequestMemory(state.requests)
        board._watch = WatchLog(state.watch_floor, state.events)
        board._commands_applied = state.commands_applied
        board._stamp = state.stamp
        board._hash = int.from_bytes(state.state_hash, "big")
        return board

    def dismantle(self) -> Iterator[None]:
        """Lets go of what a board that was replaced holds, a little at each step."""
        yield from emptied(self._store.tasks)
        yield from self._requests.dismantle()


def _refused(refusal: Refusal, revision: int) -> Outcome:
    return Outcome(
        refusal.kind,
        revision,
        refusal.subject,
        refusal.message,
        refusal.collisions,
        refusal.mergeable_paths,
        refusal.current_version,
    )
