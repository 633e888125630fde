"""The headers of an answer, which have to be sent whole: a call whose headers were broken off never gets a status.

gRPC sends headers along with the first message, unless they went before, and notes that they went once that message
got through. If whoever waits for this is cancelled, nothing is noted: the status takes headers along once more, Core
refuses to send them twice, and the caller waits until its deadline, if it has any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import grpc

Context = grpc.aio.ServicerContext[Any, Any]


class HeadersFirst:
    """The context of a call, all of it, but that headers go out before the first message and are never broken off.

    They do not wait for the caller to read, as a message may.

    Args:
        context: as gRPC made it.
    """

    __slots__ = ("_begun", "_context")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def send_initial_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Send the headers; a cancellation is heard once they are sent."""
        self._begun = True
        await _whole(self._context.send_initial_metadata(tuple(metadata)))

    async def begin(self) -> None:
        """Send headers without anything in them, unless some were sent."""
        if not self._begun:
            await self.send_initial_metadata(())

    async def write(self, message: object) -> None:
        """Send a message, behind the headers."""
        await self.begin()
        await self._context.write(message)


async def _whole(sending: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(sending)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as caught:
            cancelled = caught
    if cancelled is None:
        return task.result()
    # Of a connection that broke meanwhile the call hears by itself.
    task.exception()
    raise cancelled
