"""`weftmesh.privacy.v1.PrivacyService`: say what is about to leave this node, and ask what left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import grpc

from weftmesh.client.calls import Calls
from weftmesh.client.errors import from_call_error
from weftmesh.privacy.v1 import privacy_pb2, privacy_pb2_grpc


class PrivacyApi:
    """The node's egress ledger."""

    def __init__(self, calls: Calls) -> None:
        stub = privacy_pb2_grpc.PrivacyServiceStub(calls.channel)
        self._calls = calls
        self._record: Any = stub.RecordEgress
        self._report: Any = stub.ReportEgress
        self._verify: Any = stub.VerifyLedger

    async def record_egress(
        self, request: privacy_pb2.RecordEgressRequest, *, timeout_s: float | None = None
    ) -> privacy_pb2.LedgerHead:
        """Record a payload that is about to leave; sent once. Only when this returns may the payload be sent.

        Raises:
            InvalidInputError: a field is empty or out of bounds, or it concerns a person's health.
            ForbiddenError: this process may not write into the ledger.
            PreconditionError: the node's disk does not take the record.
        """
        answer: privacy_pb2.RecordEgressResponse = await self._calls.once(self._record, request, timeout_s)
        return answer.head

    async def record_payload(
        self,
        egress_class: privacy_pb2.EgressClass,
        peer: str,
        payload: bytes,
        why: str,
        *,
        timeout_s: float | None = None,
    ) -> privacy_pb2.LedgerHead:
        """`record_egress` of a payload in memory; the payload itself goes nowhere. Raises the same."""
        request = privacy_pb2.RecordEgressRequest(
            egress_class=egress_class, peer=peer, size_bytes=len(payload), sha256=sha256(payload).digest(), why=why
        )
        return await self.record_egress(request, timeout_s=timeout_s)

    async def report(
        self, request: privacy_pb2.ReportEgressRequest, *, timeout_s: float
    ) -> AsyncIterator[privacy_pb2.ReportEgressResponse]:
        """Records as they are read, if asked for, and the totals last; asked once.

        Args:
            request: what is of interest.
            timeout_s: for the whole.

        Raises:
            OverloadedError: others are reading already.
        """
        try:
            async for part in self._report(request, timeout=timeout_s):
                yield part
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self._calls.target) from error

    async def verify(
        self, anchor: privacy_pb2.LedgerHead | None = None, *, timeout_s: float | None = None
    ) -> privacy_pb2.LedgerVerification:
        """Check every record of the ledger, and look for what was noted earlier; seconds for a long one.

        Raises:
            InvalidInputError: this is no anchor.
            OverloadedError: others are reading already.
        """
        request = privacy_pb2.VerifyLedgerRequest(anchor=anchor)
        checked: privacy_pb2.LedgerVerification = await self._calls.once(self._verify, request, timeout_s)
        return checked
