"""The audit log of one node: notes are taken at once, and written down in a chain by a thread, many at a time.

A note waits for at most `LINGER_S` and shares its sync with all that came meanwhile: a process that is killed, or a
machine that loses power, loses the notes of that time. While the disk refuses, notes are kept up to `WAITING_MAX` and
written as soon as it takes them; what comes beyond is counted, and the count is a record of its own. With
`[audit] strict` a node refuses what changes something as long as it cannot write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import islice
from typing import Final

import structlog

from weftmesh.agent.access.journal import Note
from weftmesh.agent.audit_log.denials import Denials
from weftmesh.agent.audit_log.describing import entry_of
from weftmesh.agent.audit_log.retention import Retention
from weftmesh.agent.chain.appending import Chain, Snapshot
from weftmesh.agent.chain.slicing import in_turns
from weftmesh.core.audit_log.entries import Content, Entry, Lost
from weftmesh.core.errors import PreconditionError
from weftmesh.core.hash_chain import Head
from weftmesh.runtime.clock import wall_us

LINGER_S: Final = 0.2
RETRY_S: Final = 1.0
"""After the disk refused."""
RETENTION_RETRY_S: Final = 60.0
"""And after it refused to let go of a file."""
BATCH_NOTES_MAX: Final = 1_024
WAITING_MAX: Final = 65_536

log = structlog.get_logger("weftmesh.audit")

Waiting = Note | tuple[int, Entry]


class AuditLog:
    """Implements `access.journal.Journal`. On the event loop only.

    Args:
        chain: where it is written.
        retention: what is let go.
        strict: refuse changes while nothing can be written.
        waiting_max: notes kept while they cannot be written.

    Attributes:
        lost: notes that could not be kept since the start.
        written: set after each batch; whoever waits for more clears it.
        readers: while there are any that need every file, none is let go.
    """

    def __init__(
        self,
        chain: Chain[Content],
        retention: Retention,
        *,
        strict: bool = False,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self.chain = chain
        self.lost = 0
        self.written: set[asyncio.Event] = set()
        self.readers = 0
        self._retention = retention
        self._retain_at_s = 0.0
        self._strict = strict
        self._waiting_max = waiting_max
        self._waiting: list[Waiting] = []
        self._lost_untold = 0
        self._denials = Denials()
        self._failure = ""
        self._committing: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._closed = False

    @property
    def head(self) -> Head:
        """The last record that is on disk."""
        return self.chain.head

    @property
    def failure(self) -> str:
        """Why nothing can be written now; empty if it can."""
        return self._failure

    def note(self, note: Note) -> None:
        """See Journal."""
        if note.decision is None and self._denials.is_repeated(note):
            self._wake()
            return
        self._take(note)

    def event(self, entry: Entry) -> None:
        """Note what is no call."""
        self._take((wall_us(), entry))

    def check(self) -> None:
        """See Journal."""
        if self._strict and self._failure:
            raise PreconditionError(
                f"this node cannot write its audit log ({self._failure}) and is told to change nothing then ([audit] "
                "strict); free space or mend the disk under its data directory",
                reason="AUDIT_NOT_WRITTEN",
            )

    async def flush(self) -> None:
        """Return when everything noted so far is on disk, or cannot be written."""
        while self._waiting and not self._failure and not self._closed:
            await asyncio.shield(self._write())

    async def snapshot(self) -> Snapshot:
        """The log as it is now."""
        async with self._writing:
            return await asyncio.to_thread(self.chain.snapshot)

    async def close(self) -> None:
        """Write down what waits, as far as the disk takes it, and close the files."""
        self._closed = True
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.gather(self._committing, return_exceptions=True)
        self._waiting += self._denials.close()
        async with self._writing:
            try:
                while self._waiting:
                    await self._write_some()
                await asyncio.to_thread(self.chain.close)
            except OSError as error:
                log.error("the audit log ends before its last notes", why=str(error), notes=len(self._waiting))  # noqa: TRY400

    def _take(self, note: Waiting) -> None:
        if len(self._waiting) >= self._waiting_max or self._closed:
            self.lost += 1
            self._lost_untold += 1
            return
        if isinstance(note, Note) and len(self._waiting) >= BATCH_NOTES_MAX:
            note = (note.time_us, entry_of(note))  # requests may be large, and it may take long until they are let go
        self._waiting.append(note)
        self._wake()

    def _wake(self) -> None:
        if self._committing is None and not self._closed:
            self._committing = asyncio.get_running_loop().create_task(self._commit())

    async def _commit(self) -> None:
        """Write until nothing waits."""
        try:
            await asyncio.sleep(LINGER_S)
            while self._waiting or self._denials.are_counted or self._lost_untold:
                self._waiting += self._denials.overdue(wall_us())
                failure = await asyncio.shield(self._write())
                for event in self.written:
                    event.set()
                if failure:
                    await asyncio.sleep(RETRY_S)
                elif len(self._waiting) < BATCH_NOTES_MAX and (self._waiting or self._denials.are_counted):
                    await asyncio.sleep(LINGER_S)
        finally:
            self._committing = None

    async def _write(self) -> str:
        """Why it could not be written; empty if it was.

        Not to be cancelled: the thread goes on, and another one must not write before what it has written is known.
        """
        async with self._writing:
            # Once the log is closed, what waits is for `close` alone.
            return self._failure if self._closed else await self._try_to_write()

    async def _try_to_write(self) -> str:
        try:
            await self._write_some()
        except Exception as error:  # noqa: BLE001 - whatever it is: the notes wait, and whoever asks has to hear of it
            failure = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            if failure != self._failure:
                log.error("the audit log cannot be written; notes wait", why=failure, notes=len(self._waiting))  # noqa: TRY400
            self._failure = failure
        else:
            self._failure = ""
        return self._failure

    async def _write_some(self) -> None:
        """Write one batch; what is not written still waits.

        Raises:
            OSError: the disk refused.
        """
        batch, lost = list(islice(self._waiting, BATCH_NOTES_MAX)), self._lost_untold
        if batch or lost:
            await asyncio.to_thread(self._append, batch, lost)
            del self._waiting[: len(batch)]
            self._lost_untold -= lost

    def _append(self, batch: Sequence[Waiting], lost: int) -> None:
        """In a thread."""
        contents: list[tuple[int, Content]] = [
            (one.time_us, entry_of(one)) if isinstance(one, Note) else one for one in in_turns(batch)
        ]
        if lost:
            contents.append((wall_us(), Lost(lost, "too many notes waited for the disk")))
        self.chain.append(contents)
        self._retain()

    def _retain(self) -> None:
        """Let go of what is too much, unless it was tried in vain just now: each time is a record."""
        if self.readers or time.monotonic() < self._retain_at_s:
            return
        try:
            self._retention.apply(self.chain, wall_us())
        except OSError as error:
            self._retain_at_s = time.monotonic() + RETENTION_RETRY_S
            log.error("old files of the audit log cannot be let go; they stay", why=str(error))  # noqa: TRY400
