"""Reads the requests of calls within a time. One timer is for all that wait: one for each would cost 20 us a call."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc


class Arrivals:
    """Requests that are on their way. Belongs to one event loop.

    Args:
        limit_s: how long one may take.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._due_s: dict[asyncio.Task[Any], float] = {}
        """When the request of each call is late; the first one first, as all have the same time."""
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def read(
        self, context: grpc.aio.ServicerContext[Any, Any], arriving: AbstractAsyncContextManager[object]
    ) -> Any:
        """The request of a call, as it came; `grpc.aio.EOF` where there is none.

        Args:
            context: of the call.
            arriving: entered while it is read; to enter counts as a part of the time.

        Raises:
            TimeoutError: it is late.
        """
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101, handlers run in tasks
        self._due_s[task] = loop.time() + self.limit_s
        if self._timer is None:
            self._timer = loop.call_later(self.limit_s, self._look)
        try:
            async with arriving:
                return await context.read()
        except asyncio.CancelledError:
            # As asyncio.timeout has it: whoever else cancelled the task meanwhile is heard.
            if task in self._late and not task.uncancel():
                raise TimeoutError from None
            raise
        finally:
            self._late.discard(task)
            del self._due_s[task]

    def _look(self) -> None:
        """Cancel what is late, and look again when the next one would be."""
        loop, self._timer = asyncio.get_running_loop(), None
        now_s = loop.time()
        for task, due_s in self._due_s.items():
            if due_s > now_s:
                self._timer = loop.call_at(due_s, self._look)
                return
            if task not in self._late:
                self._late.add(task)
                task.cancel()
