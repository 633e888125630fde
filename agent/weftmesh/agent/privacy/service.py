"""The PrivacyService: other processes record what they are about to send, and people ask what left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import grpc
import structlog

from weftmesh.agent.chain.checking import Verification
from weftmesh.agent.chain.slicing import slices
from weftmesh.agent.privacy.access import check_recorder
from weftmesh.agent.privacy.ledger import EGRESS, EgressLedger
from weftmesh.agent.privacy.tallying import Tally
from weftmesh.agent.serving.callers import Callers
from weftmesh.core.errors import InvalidInputError, OverloadedError
from weftmesh.core.hash_chain import Head, Record
from weftmesh.core.privacy.egress import SHA256_BYTES, Egress, EgressClass
from weftmesh.core.privacy.totals import EgressQuery, Row
from weftmesh.privacy.v1 import privacy_pb2, privacy_pb2_grpc

READERS_MAX: Final = 2
"""Reports and verifications at a time."""
Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger("weftmesh.privacy")


class PrivacyServicer(privacy_pb2_grpc.PrivacyServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.privacy.v1.PrivacyService; privacy.proto documents each method."""

    def __init__(self, ledger: EgressLedger, callers: Callers, group: str) -> None:
        self._ledger = ledger
        self._callers = callers
        self._group = group
        self._readers = 0

    async def RecordEgress(  # noqa: N802
        self, request: privacy_pb2.RecordEgressRequest, context: Context
    ) -> privacy_pb2.RecordEgressResponse:
        """See privacy.proto."""
        check_recorder(self._callers.process(context), self._group)
        head = await self._ledger.record(_egress(request))
        return privacy_pb2.RecordEgressResponse(head=_head(head))

    async def ReportEgress(  # noqa: N802
        self, request: privacy_pb2.ReportEgressRequest, context: Context
    ) -> AsyncIterator[privacy_pb2.ReportEgressResponse]:
        """See privacy.proto."""
        self._callers.local(context)
        tally = Tally(_query(request))
        with self._reading():
            snapshot = await self._ledger.snapshot()
            log.info("egress report", anchor=str(snapshot.head))
            async for piece in slices(tally.run(snapshot.parts)):
                records = [_record(*one) for one in piece if one is not None] if request.include_records else []
                if records:
                    yield privacy_pb2.ReportEgressResponse(records=privacy_pb2.EgressRecords(records=records))
        report = privacy_pb2.EgressReport(
            totals=[_total(row) for row in tally.totals.sorted_rows()],
            head=_head(snapshot.head),
            unreadable_parts=tally.unreadable_parts,
        )
        yield privacy_pb2.ReportEgressResponse(report=report)

    async def VerifyLedger(  # noqa: N802
        self, request: privacy_pb2.VerifyLedgerRequest, context: Context
    ) -> privacy_pb2.LedgerVerification:
        """See privacy.proto."""
        caller = self._callers.local(context)
        anchor = _anchor(request.anchor) if request.HasField("anchor") else None
        started_s = time.monotonic()
        with self._reading():
            verification = Verification(EGRESS, await self._ledger.snapshot(), anchor)
            async for _ in slices(verification.run()):
                pass
        level = log.info if verification.passed else log.error
        level(
            "egress ledger verified", by=caller.actor, findings=verification.findings_count, head=str(verification.head)
        )
        return _verification(verification, time.monotonic() - started_s)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if self._readers >= READERS_MAX:
            raise OverloadedError(f"{READERS_MAX} readers of the egress ledger are at work already; try again later")
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1


def _egress(request: privacy_pb2.RecordEgressRequest) -> Egress:
    return Egress(
        egress_class=_class(request.egress_class),
        peer=request.peer,
        size_bytes=request.size_bytes,
        sha256=request.sha256,
        why=request.why,
    )


def _class(number: int) -> EgressClass:
    try:
        return EgressClass(number)
    except ValueError:
        words = ", ".join(one.name.lower() for one in EgressClass)
        raise InvalidInputError(f"{number} is no egress class; say one of {words}") from None


def _wire_class(egress_class: EgressClass) -> privacy_pb2.EgressClass:
    return cast("privacy_pb2.EgressClass", egress_class.value)


def _query(request: privacy_pb2.ReportEgressRequest) -> EgressQuery:
    since_us = request.since_time.ToMicroseconds() if request.HasField("since_time") else 0
    return EgressQuery(since_us, _class(request.egress_class) if request.egress_class else None, request.peer)


def _anchor(head: privacy_pb2.LedgerHead) -> Head:
    if head.sequence < 0 or len(head.hash) != SHA256_BYTES:
        raise InvalidInputError(f"an anchor is a record's number and its hash of {SHA256_BYTES} bytes")
    return Head(head.sequence, head.hash)


def _head(head: Head) -> privacy_pb2.LedgerHead:
    return privacy_pb2.LedgerHead(sequence=head.sequence, hash=head.hash)


def _record(record: Record[Egress], egress: Egress) -> privacy_pb2.EgressRecord:
    message = privacy_pb2.EgressRecord(
        sequence=record.sequence,
        egress_class=_wire_class(egress.egress_class),
        peer=egress.peer,
        size_bytes=egress.size_bytes,
        sha256=egress.sha256,
        why=egress.why,
    )
    message.time.FromMicroseconds(record.time_us)
    return message


def _total(row: Row) -> privacy_pb2.EgressTotal:
    message = privacy_pb2.EgressTotal(
        egress_class=_wire_class(row.egress_class), peer=row.peer, payloads=row.payloads, size_bytes=row.size_bytes
    )
    message.first_time.FromMicroseconds(row.first_us)
    message.last_time.FromMicroseconds(row.last_us)
    return message


def _verification(verification: Verification[Egress], duration_s: float) -> privacy_pb2.LedgerVerification:
    parts = verification.snapshot.parts
    message = privacy_pb2.LedgerVerification(
        passed=verification.passed,
        records=verification.records,
        files=len(parts),
        size_bytes=sum(part.size_bytes for part in parts),
        head=_head(verification.head),
        findings_count=verification.findings_count,
    )
    message.duration.FromNanoseconds(round(duration_s * 1e9))
    for one in verification.findings:
        message.findings.add(file=one.file, offset_bytes=one.offset_bytes, sequence=one.sequence, found=one.found)
    if verification.anchor is not None:
        message.anchor_found = verification.anchor_found
    return message
