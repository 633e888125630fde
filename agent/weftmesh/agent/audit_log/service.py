"""The AuditLogService: records for those who look into them, and whether the chain is whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from weftmesh.access.v1 import audit_log_pb2, audit_log_pb2_grpc
from weftmesh.agent.audit_log.log import AuditLog
from weftmesh.agent.audit_log.reading import AuditPiece, AuditQuery, read_all, read_newest
from weftmesh.agent.chain.checking import Verification
from weftmesh.agent.chain.slicing import slices
from weftmesh.agent.serving.callers import Callers, Context
from weftmesh.core.audit_log.entries import Content
from weftmesh.core.errors import InvalidInputError, OverloadedError
from weftmesh.core.hash_chain import SHA256_BYTES, Head

READERS_MAX: Final = 2
"""That read the whole log at a time."""
FOLLOWERS_MAX: Final = 16

log = structlog.get_logger("weftmesh.audit")


class AuditLogServicer(audit_log_pb2_grpc.AuditLogServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.access.v1.AuditLogService; audit_log.proto documents each method."""

    def __init__(self, audit_log: AuditLog, callers: Callers) -> None:
        self._log = audit_log
        self._callers = callers
        self._readers = 0

    async def ReadAuditLog(  # noqa: N802
        self, request: audit_log_pb2.ReadAuditLogRequest, context: Context
    ) -> AsyncIterator[audit_log_pb2.AuditRecords]:
        """See audit_log.proto."""
        self._callers.local(context)
        since_us = request.since_time.ToMicroseconds() if request.HasField("since_time") else 0
        query = AuditQuery(since_us, request.actor, request.project, request.denied_only)
        await self._log.flush()
        with self._reading():
            snapshot = await self._log.snapshot()
            found = (
                read_newest(snapshot.parts, query, request.newest)
                if request.newest
                else read_all(snapshot.parts, query)
            )
            async for pieces in slices(found):
                if message := _message(pieces):
                    yield message
        if request.follow:
            async for message in self._follow(query, snapshot.head.sequence):
                yield message

    async def _follow(self, query: AuditQuery, after_sequence: int) -> AsyncIterator[audit_log_pb2.AuditRecords]:
        if len(self._log.written) >= FOLLOWERS_MAX:
            raise OverloadedError(f"{FOLLOWERS_MAX} callers follow the audit log already; try again later")
        more = asyncio.Event()
        self._log.written.add(more)
        try:
            while True:
                more.clear()
                snapshot = await self._log.snapshot()
                async for pieces in slices(read_all(snapshot.parts, query, after_sequence)):
                    if message := _message(pieces):
                        yield message
                after_sequence = snapshot.head.sequence
                await more.wait()
        finally:
            self._log.written.discard(more)

    async def VerifyAuditLog(  # noqa: N802
        self, request: audit_log_pb2.VerifyAuditLogRequest, context: Context
    ) -> audit_log_pb2.AuditLogVerification:
        """See audit_log.proto."""
        caller = self._callers.local(context)
        anchor = _anchor(request.anchor) if request.HasField("anchor") else None
        started_s = time.monotonic()
        await self._log.flush()
        with self._reading(), self._keeping():
            verification = Verification(self._log.chain.form, await self._log.snapshot(), anchor)
            async for _ in slices(verification.run()):
                pass
        level = log.info if verification.passed else log.error
        level("audit log verified", by=caller.actor, findings=verification.findings_count, head=str(verification.head))
        return _verification(verification, time.monotonic() - started_s, self._log.lost)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if self._readers >= READERS_MAX:
            raise OverloadedError(f"{READERS_MAX} readers of the audit log are at work already; try again later")
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """No file is let go before it was read; only for as long as this node reads by itself."""
        self._log.readers += 1
        try:
            yield
        finally:
            self._log.readers -= 1


def _anchor(head: audit_log_pb2.AuditLogHead) -> Head:
    if head.sequence < 0 or len(head.hash) != SHA256_BYTES:
        raise InvalidInputError(f"an anchor is a record's number and its hash of {SHA256_BYTES} bytes")
    return Head(head.sequence, head.hash)


def _message(pieces: list[AuditPiece | None]) -> audit_log_pb2.AuditRecords | None:
    """The records among pieces; None if there are none."""
    records = [
        audit_log_pb2.AuditRecord(
            sequence=piece.head.sequence, hash=piece.head.hash, payload=piece.payload.decode(errors="replace")
        )
        for piece in pieces
        if piece is not None
    ]
    return audit_log_pb2.AuditRecords(records=records) if records else None


def _verification(
    verification: Verification[Content], duration_s: float, lost: int
) -> audit_log_pb2.AuditLogVerification:
    parts, head = verification.snapshot.parts, verification.head
    message = audit_log_pb2.AuditLogVerification(
        passed=verification.passed,
        records=verification.records,
        files=len(parts),
        size_bytes=sum(part.size_bytes for part in parts),
        head=audit_log_pb2.AuditLogHead(sequence=head.sequence, hash=head.hash),
        first_sequence=verification.first_sequence,
        findings_count=verification.findings_count,
        lost=lost,
    )
    message.duration.FromNanoseconds(round(duration_s * 1e9))
    for one in verification.findings:
        message.findings.add(file=one.file, offset_bytes=one.offset_bytes, sequence=one.sequence, found=one.found)
    if verification.anchor is not None:
        message.anchor_found = verification.anchor_found
    return message
