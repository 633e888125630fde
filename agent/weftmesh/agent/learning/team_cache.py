"""What is fitted to a team's tasks on this node's own boards, and fitted again when enough of them have changed."""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from weftmesh.agent.board.homes import Home
from weftmesh.agent.learning.gate import Gate
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Task
from weftmesh.core.board.outcomes import TaskChanged
from weftmesh.core.board.reading import Cursor
from weftmesh.core.forecast.ordinal import REFIT_LABELS

TEAMS_MAX: Final = 256
"""Teams whose fit is kept; the one that was asked for longest ago makes room."""
SCAN_TASKS_MAX: Final = 1_000
"""Tasks looked at in one turn of the event loop."""
PAGE_TASKS: Final = 1_000
EVENTS_MAX: Final = 200
"""Revisions looked at in one turn of the event loop."""
WAITING_MAX: Final = 64
"""Forecasts that wait for a fit; one is made at a time."""
AGE_MAX_S: Final = 3_600.0
_TURN_ITEMS: Final = 4

T = TypeVar("T")
V = TypeVar("V")
Relevant = Callable[[Task], object]
"""What counts of a task; None for nothing."""


@dataclass(slots=True)
class _Fit(Generic[V]):
    board: Board
    model: bytes
    value: V
    tasks: int
    fitted_s: float
    revision: int
    """Up to which changes are counted."""
    changes: int = 0

    def is_stale(self) -> bool:
        """Whether enough has changed: `REFIT_LABELS` tasks, or one where there are fewer."""
        return self.changes >= (REFIT_LABELS if self.tasks >= REFIT_LABELS else 1)


class TeamCache(Generic[V]):
    """Fits by project, least recently used first to go.

    Args:
        relevant: what counts of a task.
        newest: how many of the relevant tasks are fitted to, the newest on the board.
        counted: what has to change for a task to count as changed; `relevant` itself if None.
        teams_max: how many fits are kept.
        clock_s: seconds that only go up.
    """

    def __init__(
        self,
        relevant: Relevant,
        newest: int,
        counted: Relevant | None = None,
        teams_max: int = TEAMS_MAX,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relevant = relevant
        self._newest = newest
        self._counted = counted or relevant
        self._teams_max = teams_max
        self._clock_s = clock_s
        self._fits: OrderedDict[str, _Fit[V]] = OrderedDict()
        self._turn = Gate(1, WAITING_MAX)

    async def get(self, home: Home, project_id: str, model: bytes, fit: Callable[[list[Task]], V]) -> V:
        """What `fit` made of the project's tasks, lately enough.

        Args:
            home: whose board has the project.
            project_id: the project.
            model: SHA-256 of the model that the fit rests on; empty for none. Another one needs another fit.
            fit: called in a thread, with the relevant tasks in order of creation.

        Raises:
            OverloadedError: too many wait.
        """
        async with self._turn:
            known = self._fits.get(project_id)
            if known is None or not await self._is_fresh(known, home.board, project_id, model):
                known = await self._fitted(home.board, project_id, model, fit)
                self._fits[project_id] = known
            self._fits.move_to_end(project_id)
            while len(self._fits) > self._teams_max:
                self._fits.popitem(last=False)
            return known.value

    async def _is_fresh(self, fit: _Fit[V], board: Board, project_id: str, model: bytes) -> bool:
        if fit.board is not board or fit.model != model or self._clock_s() - fit.fitted_s > AGE_MAX_S:
            return False
        while fit.revision < board.revision and not fit.is_stale():
            events = board.events_since(fit.revision, project_id, limit=EVENTS_MAX)
            if events is None:
                return False
            fit.changes += sum(isinstance(event, TaskChanged) and self._counts(event) for event in events)
            fit.revision = min(fit.revision + EVENTS_MAX, board.revision)
            await asyncio.sleep(0)
        return not fit.is_stale()

    def _counts(self, event: TaskChanged) -> bool:
        before = None if event.before is None else self._of(event.before)
        return self._of(event.task) != before

    def _of(self, task: Task) -> object:
        return None if task.deleted_stamp else self._counted(task)

    async def _fitted(self, board: Board, project_id: str, model: bytes, fit: Callable[[list[Task]], V]) -> _Fit[V]:
        revision = board.revision
        tasks = await relevant_tasks(board, project_id, self._relevant, self._newest)
        value = await asyncio.to_thread(fit, tasks)
        return _Fit(board, model, value, len(tasks), self._clock_s(), revision)


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """The items, for work in a thread that takes turns with the event loop."""
    for number, item in enumerate(items):
        if number % _TURN_ITEMS == 0:
            os.sched_yield()  # lets go of the interpreter, for which the loop would wait 5 ms at every turn
        yield item


async def relevant_tasks(board: Board, project_id: str, relevant: Relevant, newest: int) -> list[Task]:
    """The newest of a project's tasks that count, in order of creation; takes turns with everybody else on the loop."""
    found: deque[Task] = deque(maxlen=newest)
    after: Cursor | None = None
    while True:
        page = board.list_tasks(
            project_id,
            lambda task: relevant(task) is not None,
            after=after,
            limit=PAGE_TASKS,
            scan_limit=SCAN_TASKS_MAX,
        )
        found.extend(page.tasks)
        after = page.next_cursor
        if after is None:
            return list(found)
        await asyncio.sleep(0)
