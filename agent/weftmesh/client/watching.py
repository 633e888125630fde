"""A watch that outlives its connection: it resumes from the last revision it saw, without a gap or a duplicate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc

from weftmesh.board.v1 import board_pb2
from weftmesh.client.errors import from_call_error, is_retryable, unreachable
from weftmesh.client.limits import WATCH_PROGRESS_S, WATCH_RECONNECT_S, WATCH_SILENCE_FACTOR
from weftmesh.client.retry import Backoff, pause_after
from weftmesh.core.errors import WeftmeshError

OpenWatch = Callable[[board_pb2.WatchRequest], Any]


@dataclass(slots=True)
class WatchCursor:
    """Where a watch stands: what to ask for when it has to be opened again."""

    revision: int
    """Everything up to here was handed over."""
    listing: bool
    """A listing has begun, or is due, and its closing Progress has not come."""
    listed_events: int = 0
    """Handed over of that listing so far."""

    def admit(self, event: board_pb2.WatchEvent) -> bool:
        """Take note of an event; False if it was handed over before."""
        match event.WhichOneof("event"):
            case "resync":
                self.listing, self.listed_events = True, 0
            case "progress":
                self.listing = False
                self.revision = max(self.revision, event.revision)
            case _ if self.listing:
                self.listed_events += 1
            case _:
                if event.revision <= self.revision:
                    return False
                self.revision = event.revision
        return True

    def request(self, parent: str, progress_s: float) -> board_pb2.WatchRequest:
        """What to ask the node for from here."""
        request = board_pb2.WatchRequest(parent=parent, send_initial_state=self.listing)
        if not self.listing:
            request.resume_revision = self.revision
        request.progress_interval.FromMilliseconds(round(progress_s * 1_000))
        return request

    def restart(self) -> board_pb2.WatchEvent | None:
        """After a break: the event that tells the watcher to forget a half-finished listing, if there was one."""
        if not self.listed_events:
            return None
        self.listed_events = 0
        return board_pb2.WatchEvent(revision=self.revision, resync=board_pb2.Resync(compacted_revision=self.revision))


async def watch(
    open_watch: OpenWatch, target: str, parent: str, cursor: WatchCursor, progress_s: float = WATCH_PROGRESS_S
) -> AsyncGenerator[board_pb2.WatchEvent, None]:
    """Events of `parent` from `cursor` on, over as many calls as it takes.

    Raises:
        WeftmeshError: trying again cannot help, or did not for `WATCH_RECONNECT_S`.
    """
    loop = asyncio.get_running_loop()
    backoff = Backoff()
    give_up_at = loop.time() + WATCH_RECONNECT_S
    while True:
        try:
            call = open_watch(cursor.request(parent, progress_s))
            async with aclosing(_responses(call, target, progress_s * WATCH_SILENCE_FACTOR)) as responses:
                async for response in responses:
                    backoff.reset()
                    for event in response.events:
                        if cursor.admit(event):
                            yield event
                    give_up_at = loop.time() + WATCH_RECONNECT_S
        except WeftmeshError as error:
            pause_s = pause_after(error, backoff)
            if not is_retryable(error) or loop.time() + pause_s >= give_up_at:
                raise
            await asyncio.sleep(pause_s)
        if (resync := cursor.restart()) is not None:
            yield resync


async def _responses(call: Any, target: str, silence_s: float) -> AsyncGenerator[board_pb2.WatchResponse, None]:
    """The messages of one call, which ends with an error in our own tree, always: a watch has no last message."""
    try:
        while True:
            async with asyncio.timeout(silence_s):
                response = await call.read()  # raises unless the call ended well
            if response is grpc.aio.EOF:
                raise _ended(target)
            yield response
    except grpc.aio.AioRpcError as error:
        raise from_call_error(error, target) from error
    except TimeoutError:
        raise unreachable(target, f"silent on a watch for {silence_s:.0f} s") from None
    finally:
        call.cancel()


def _ended(target: str) -> WeftmeshError:
    return unreachable(target, "it ended the watch")
