"""One watcher's stream: a listing if asked for, then every event once and in order, whatever happens to history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Final

from weftmesh.agent.access.authorizing import Sight
from weftmesh.agent.board.homes import Home
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Limits, Project, Task, Verb
from weftmesh.core.board.outcomes import Event, ProjectChanged, TaskChanged
from weftmesh.runtime.wire.resources import fill_task, project_message, request_id_text, set_stamp, set_us

BATCH_EVENTS_MAX: Final = 256
"""Events in one message."""
BATCH_BYTES_MAX: Final = 1024 * 1024
"""And their size: a message ends with the event that reaches it, far from the limit of a message."""
BACKLOG_EVENTS_MAX: Final = 2_048
"""A watcher further behind than this gets each task's newest state with a gap mark instead of every step."""
UNTOLD_REVISIONS_MAX: Final = Limits.WATCH_EVENTS // 2
"""A watcher of a quiet project hears of others' revisions before history that it would need to resume is gone."""
LISTING_PAGE: Final = 500

_TASK_KINDS: Final = {
    Verb.CREATE: board_pb2.EVENT_KIND_CREATED,
    Verb.DELETE: board_pb2.EVENT_KIND_DELETED,
    Verb.UNDELETE: board_pb2.EVENT_KIND_UNDELETED,
}

Fill = Callable[[board_pb2.WatchEvent], None]
"""Sets an empty event."""


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What a watcher asked for."""

    project_id: str | None
    """None for every project of the home."""
    resume_revision: int
    send_initial_state: bool
    progress_interval_s: float
    sight: Sight | None = None
    """What the watcher may see, of the projects of the home; None for everything."""

    @property
    def is_narrowed(self) -> bool:
        """Whether something may have to be left out. A watcher of one project may see it, or its call ends."""
        return self.project_id is None and self.sight is not None and not self.sight.everything

    def sees(self, project_id: str) -> bool:
        """Whether a project is to be shown."""
        return self.sight is None or self.sight.sees(project_id)


class Watching:
    """Produces the messages of one Watch call. The board's bounded watch log is the only queue there is."""

    def __init__(self, home: Home, plan: WatchPlan, freshness: Callable[[], board_pb2.Freshness]) -> None:
        self._home = home
        self._plan = plan
        self._freshness = freshness
        self._revision = plan.resume_revision or home.board.revision
        """Everything up to here was handed over, or is none of this watcher's business."""
        self._told = self._revision
        """The revision that the watcher last heard of, and would resume from."""
        self._speak_by = 0.0
        """When a Progress is due, on the event loop's clock."""

    async def messages(self) -> AsyncIterator[board_pb2.WatchResponse]:
        """Every message, for ever; the caller's call ends it."""
        self._said(self._told)
        if self._plan.send_initial_state:
            for message in self._listing():
                yield message
        while True:
            present = self._home.board.revision
            # A bounded piece of history at a time: rebuilding events must not hold the event loop.
            upto = min(self._revision + BACKLOG_EVENTS_MAX, present)
            news = self._news(upto, behind=present > upto)
            if news is None:
                for message in self._resync():
                    yield message
                continue
            for message in news:
                yield message
            self._revision = max(self._revision, upto)
            # Changes elsewhere wake a watcher of a quiet project; they are no message to it.
            if self._revision - self._told > UNTOLD_REVISIONS_MAX or _now() >= self._speak_by:
                yield self._progress()
            if self._revision >= self._home.board.revision:
                await self._moved()

    async def _moved(self) -> None:
        """Return when there may be something to say."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._speak_by):
                await self._home.feed.moved()

    def _said(self, revision: int) -> None:
        self._told = revision
        self._speak_by = _now() + self._plan.progress_interval_s

    def _listing(self) -> Iterator[board_pb2.WatchResponse]:
        """Everything there is at one revision, then a Progress to resume from."""
        revision = self._home.board.revision
        yield from _batches(self._listed(self._home.board, revision))
        self._revision = revision
        yield self._progress()

    def _listed(self, board: Board, revision: int) -> Iterator[Fill]:
        for project in self._listed_projects(board, revision):
            yield partial(_fill_listed_project, project, board.count_tasks(project.id))
        for task in self._listed_tasks(board, revision):
            yield partial(_fill_listed_task, task, self._home.project_of)

    def _listed_tasks(self, board: Board, revision: int) -> Iterator[Task]:
        cursor = None
        predicate = (lambda task: self._plan.sees(task.project_id)) if self._plan.is_narrowed else None
        while True:
            page = board.list_tasks(
                self._plan.project_id, predicate, after=cursor, limit=LISTING_PAGE, at_revision=revision
            )
            yield from page.tasks
            cursor = page.next_cursor
            if cursor is None:
                return

    def _listed_projects(self, board: Board, revision: int) -> Iterator[Project]:
        cursor, narrowed = None, self._plan.is_narrowed
        while True:
            page = board.list_projects(after=cursor, limit=LISTING_PAGE, at_revision=revision)
            for project in page.projects:
                if self._plan.project_id in (None, project.id) and (not narrowed or self._plan.sees(project.id)):
                    yield project
            cursor = page.next_cursor
            if cursor is None:
                return

    def _resync(self) -> Iterator[board_pb2.WatchResponse]:
        compacted = board_pb2.Resync(compacted_revision=self._home.board.watch_floor)
        yield board_pb2.WatchResponse(events=[board_pb2.WatchEvent(revision=self._revision, resync=compacted)])
        yield from self._listing()

    def _progress(self) -> board_pb2.WatchResponse:
        self._said(self._revision)
        event = board_pb2.WatchEvent(revision=self._revision, progress=board_pb2.Progress(freshness=self._freshness()))
        return board_pb2.WatchResponse(events=[event])

    def _news(self, upto: int, *, behind: bool) -> Iterator[board_pb2.WatchResponse] | None:
        """The events up to a revision; None when they are no longer known."""
        if self._plan.is_narrowed:
            return self._seen_news(upto, behind=behind)
        latest, place = self._home.feed.latest, (self._plan.project_id, self._revision, upto)
        built = latest.get(place)
        if built is not None:
            return self._handing_over(iter((built,)))
        events = self._home.board.events_since(self._revision, self._plan.project_id, limit=BACKLOG_EVENTS_MAX)
        if events is None:
            return None
        folded = _newest_of_each(events) if behind else events
        batches = _batches(partial(self._fill, event, behind) for event in folded)
        first = list(islice(batches, 2))
        if len(first) == 1 and not behind:
            latest[place] = first[0]
        return self._handing_over(chain(first, batches))

    def _seen_news(self, upto: int, *, behind: bool) -> Iterator[board_pb2.WatchResponse] | None:
        """The same for one who may not see everything; no message of it is another watcher's."""
        events = self._home.board.events_since(self._revision, None, limit=BACKLOG_EVENTS_MAX)
        if events is None:
            return None
        seen = [event for event in events if event.revision <= upto and self._plan.sees(_project_of(event))]
        folded = _newest_of_each(seen) if behind else seen
        return self._handing_over(_batches(partial(self._fill, event, behind) for event in folded))

    def _handing_over(self, responses: Iterator[board_pb2.WatchResponse]) -> Iterator[board_pb2.WatchResponse]:
        for response in responses:
            self._revision = response.events[-1].revision
            self._said(self._revision)
            yield response

    def _fill(self, event: Event, gap: bool, message: board_pb2.WatchEvent) -> None:
        message.revision = event.revision
        if isinstance(event, TaskChanged):
            stamp = _fill_task_event(message.task, event, self._home.project_of, gap)
        else:
            stamp = event.stamp
            message.project.CopyFrom(_project_event(event, self._home.board.count_tasks(event.project.id)))
        set_stamp(message.write_time, stamp)
        if commit_time_us := self._home.feed.commit_time_us(event.revision):
            set_us(message.commit_time, commit_time_us)


def _fill_listed_project(project: Project, task_count: int, message: board_pb2.WatchEvent) -> None:
    message.revision = project.revision
    message.project.kind = board_pb2.EVENT_KIND_INITIAL
    message.project.project.CopyFrom(project_message(project, task_count))


def _fill_listed_task(task: Task, project_of: Callable[[str], str], message: board_pb2.WatchEvent) -> None:
    message.revision = task.revision
    message.task.kind = board_pb2.EVENT_KIND_INITIAL
    fill_task(message.task.task, task, project_of)


def _fill_task_event(
    message: board_pb2.TaskEvent, event: TaskChanged, project_of: Callable[[str], str], gap: bool
) -> int:
    change = event.task.history[-1]
    message.kind = _TASK_KINDS.get(change.verb, board_pb2.EVENT_KIND_UPDATED)
    fill_task(message.task, event.task, project_of)
    message.changed_paths.extend([field.path for field in change.fields])
    message.actor = change.actor
    message.request_id = request_id_text(change.request_id)
    message.gap = gap
    return change.stamp


def _project_event(event: ProjectChanged, task_count: int) -> board_pb2.ProjectEvent:
    before, after = event.before, event.project
    kind = board_pb2.EVENT_KIND_UPDATED
    if before is None:
        kind = board_pb2.EVENT_KIND_CREATED
    elif after.deleted_stamp and not before.deleted_stamp:
        kind = board_pb2.EVENT_KIND_DELETED
    elif before.deleted_stamp and not after.deleted_stamp:
        kind = board_pb2.EVENT_KIND_UNDELETED
    return board_pb2.ProjectEvent(kind=kind, project=project_message(after, task_count))


def _project_of(event: Event) -> str:
    return event.task.project_id if isinstance(event, TaskChanged) else event.project.id


def _newest_of_each(events: Sequence[Event]) -> list[Event]:
    newest: dict[tuple[str, str], Event] = {}
    for event in events:
        key = ("task", event.task.id) if isinstance(event, TaskChanged) else ("project", event.project.id)
        newest.pop(key, None)
        newest[key] = event
    return list(newest.values())


def _batches(fillers: Iterable[Fill]) -> Iterator[board_pb2.WatchResponse]:
    """Events in messages of a bounded size, each built in the message that carries it: a copy takes 2 us more."""
    batch, batch_bytes = board_pb2.WatchResponse(), 0
    for fill in fillers:
        event = batch.events.add()
        fill(event)
        batch_bytes += event.ByteSize()
        if len(batch.events) == BATCH_EVENTS_MAX or batch_bytes >= BATCH_BYTES_MAX:
            yield batch
            batch, batch_bytes = board_pb2.WatchResponse(), 0
    if batch.events:
        yield batch


def _now() -> float:
    return asyncio.get_running_loop().time()
