"""The latest events by reference, one for each revision, so that a watcher can resume without listing again.

References cost little to keep and to snapshot; an event is rebuilt from the task's history when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from weftmesh.core.board.history import at_version, project_at_version
from weftmesh.core.board.model import Limits, Task
from weftmesh.core.board.outcomes import Event, ProjectChanged, TaskChanged
from weftmesh.core.board.state import EventRef
from weftmesh.core.board.store import Store


class WatchLog:
    """References to the events of the revisions after `floor`, by revision."""

    def __init__(self, floor: int = 0, events: Iterable[EventRef] = ()) -> None:
        self.floor = floor
        self._events = {event.revision: event for event in events}

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[EventRef]:
        return iter(self._events.values())

    def append(self, event: EventRef) -> None:
        """Adds the event of the next revision; the oldest makes room."""
        self._events[event.revision] = event
        if len(self._events) > Limits.WATCH_EVENTS:
            self.floor += 1
            del self._events[self.floor]

    def after(self, revision: int, limit: int | None = None) -> list[EventRef]:
        """The events after `revision`, which is at least the floor; at most `limit`."""
        end = self.floor + len(self._events)
        end = end if limit is None else min(end, revision + limit)
        return [self._events[one] for one in range(revision + 1, end + 1)]


def rebuild_events(store: Store, refs: list[EventRef]) -> list[Event]:
    """The events that `refs` name, in order.

    Walks backwards, so that a task that changed often is undone one step for each of its events.
    """
    later: dict[str, Task] = {}
    events: list[Event] = []
    for ref in reversed(refs):
        if not ref.task_id:
            events.append(_project_event(store, ref))
            continue
        task = at_version(later.get(ref.task_id) or store.tasks[ref.task_id], ref.version)
        before = at_version(task, ref.version - 1) if ref.version > 1 else None
        events.append(TaskChanged(ref.revision, task, before))
        if before is not None:
            later[ref.task_id] = before
    events.reverse()
    return events


def _project_event(store: Store, ref: EventRef) -> ProjectChanged:
    project = project_at_version(store.projects[ref.project_id], ref.version)
    before = project_at_version(project, ref.version - 1) if ref.version > 1 else None
    change = project.history[-1]
    return ProjectChanged(ref.revision, project, before, change.actor, change.stamp)
