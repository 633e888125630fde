"""Watches that outlive faults, and what they missed or saw twice.

Nobody else writes while a round runs, so a watcher of its project has to see every revision of the board.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.client import Client
from weftmesh.core.errors import WeftmeshError

PROGRESS_S = 0.5
SILENCE_S = 2.0
"""A roaming watcher goes on to the next node after this long without a message."""
HOP_EVERY_S = 1.5


@dataclass
class Sightings:
    """What one watcher saw.

    Attributes:
        name: of the watcher, for people.
        revision: everything up to here was seen.
        request_ids: of the writes seen, in their order.
        arrived_s: when each arrived, by request id.
        gaps: revisions that were skipped without a word.
        duplicates: revisions that came again, or too late.
        folded: events that stand for several, because this watcher was slow.
        resyncs: how often history was gone and a listing came instead.
        ended: why the watch ended, which it never should.
    """

    name: str
    revision: int
    request_ids: list[str] = field(default_factory=list)
    arrived_s: dict[str, float] = field(default_factory=dict)
    gaps: int = 0
    duplicates: int = 0
    folded: int = 0
    resyncs: int = 0
    ended: str = ""
    relisting: bool = False

    def note(self, event: board_pb2.WatchEvent) -> None:
        """Take in one event."""
        match event.WhichOneof("event"):
            case "resync":
                self.resyncs += 1
                self.relisting = True
            case "progress":
                if not self.relisting and event.revision > self.revision:
                    self.gaps += event.revision - self.revision
                self.relisting = False
                self.revision = max(self.revision, event.revision)
            case _ if not self.relisting:
                self._note_change(event)

    async def reached(self, revision: int, timeout_s: float) -> bool:
        """Wait until everything up to `revision` was seen; False if it was not in time."""
        deadline_s = time.monotonic() + timeout_s
        while self.revision < revision:
            if time.monotonic() > deadline_s:
                return False
            await asyncio.sleep(0.05)
        return True

    def _note_change(self, event: board_pb2.WatchEvent) -> None:
        if event.revision <= self.revision:
            self.duplicates += 1
            return
        if event.task.gap:
            self.folded += 1
        else:
            self.gaps += event.revision - self.revision - 1
        self.revision = event.revision
        self.request_ids.append(event.task.request_id)
        self.arrived_s[event.task.request_id] = time.monotonic()


async def watch_here(client: Client, project: str, seen: Sightings) -> None:
    """Watch one node by the client library, which resumes by itself."""
    try:
        async for event in client.watch(project, seen.revision, progress_s=PROGRESS_S):
            seen.note(event)
    except WeftmeshError as error:
        seen.ended = f"{error.reason}: {error}"


async def watch_roaming(sockets: Sequence[Path], project: str, seen: Sightings) -> None:
    """Watch by the bare protocol, resuming on another node by revision every so often and after each failure."""
    for socket in itertools.cycle(sockets):
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            request = board_pb2.WatchRequest(parent=project, send_initial_state=seen.relisting)
            if not seen.relisting:
                request.resume_revision = seen.revision
            request.progress_interval.FromMilliseconds(round(PROGRESS_S * 1_000))
            call = board_pb2_grpc.BoardServiceStub(channel).Watch(request)
            try:
                await _follow(call, seen)
            except (grpc.aio.AioRpcError, TimeoutError):
                await asyncio.sleep(PROGRESS_S / 5)
            finally:
                call.cancel()


async def _follow(call: Any, seen: Sightings) -> None:
    hop_at_s = time.monotonic() + HOP_EVERY_S
    while time.monotonic() < hop_at_s:
        async with asyncio.timeout(SILENCE_S):
            response = await call.read()
        if response is grpc.aio.EOF:
            return
        for event in response.events:
            seen.note(event)
