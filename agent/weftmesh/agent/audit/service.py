"""The AuditService, and its other end: another voter as an audit asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final

import grpc

from weftmesh.agent.audit.auditing import Auditor
from weftmesh.agent.audit.history_check import CHECKED_WRITES_MAX, HistoryCheck, unpacked
from weftmesh.agent.serving.callers import Callers
from weftmesh.core.errors import InvalidInputError
from weftmesh.mesh.v1 import audit_pb2, audit_pb2_grpc
from weftmesh.runtime.rpc import from_rpc_error

WRITES_PER_MESSAGE: Final = 2_048
LIST_TIMEOUT_S: Final = 30.0
CHECK_TIMEOUT_S: Final = 300.0
"""For another voter's answer: it looks at everything, a little at a time."""
Context = grpc.aio.ServicerContext[Any, Any]
Dial = Callable[[str, str], grpc.aio.Channel]


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.AuditService; audit.proto documents each method."""

    def __init__(self, check: HistoryCheck, auditor: Auditor, callers: Callers) -> None:
        self._check = check
        self._auditor = auditor
        self._callers = callers

    async def ListAcknowledged(  # noqa: N802
        self, request: audit_pb2.ListAcknowledgedRequest, context: Context
    ) -> AsyncIterator[audit_pb2.AcknowledgedWrites]:
        """See audit.proto."""
        self._callers.of(context)
        for message in _messages(await self._check.acknowledged(request.limit)):
            yield message

    async def CheckHistory(  # noqa: N802
        self, request_iterator: AsyncIterator[audit_pb2.CheckHistoryRequest], context: Context
    ) -> audit_pb2.CheckHistoryResponse:
        """See audit.proto."""
        self._callers.of(context)
        applied_index = 0
        writes: set[bytes] = set()
        async for request in request_iterator:
            if request.HasField("acknowledged"):
                writes.update(unpacked(request.acknowledged))
            else:
                applied_index = request.applied_index
            if len(writes) > CHECKED_WRITES_MAX:
                raise InvalidInputError(f"an audit looks for at most {CHECKED_WRITES_MAX} writes")
        return await self._check.check(applied_index, writes)

    async def RunAudit(self, request: audit_pb2.RunAuditRequest, context: Context) -> audit_pb2.AuditReport:  # noqa: N802, ARG002
        """See audit.proto."""
        self._callers.local(context)
        return await self._auditor.run()


class RemoteVoter:
    """Another voter; implements `auditing.Voter`. A connection lasts for one question."""

    def __init__(self, dial: Dial, node: str, address: str) -> None:
        self._dial = dial
        self._node = node
        self._address = address

    async def acknowledged(self, limit: int) -> list[bytes]:
        """See Voter."""
        writes: list[bytes] = []
        request = audit_pb2.ListAcknowledgedRequest(limit=limit)
        try:
            async with self._dial(self._node, self._address) as channel:
                stub: Any = audit_pb2_grpc.AuditServiceStub(channel)
                async for message in stub.ListAcknowledged(request, timeout=LIST_TIMEOUT_S):
                    writes += unpacked(message)
                    if len(writes) >= limit:
                        break
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return writes[:limit]

    async def check(self, applied_index: int, writes: set[bytes]) -> audit_pb2.CheckHistoryResponse:
        """See Voter."""

        async def requests() -> AsyncIterator[audit_pb2.CheckHistoryRequest]:
            yield audit_pb2.CheckHistoryRequest(applied_index=applied_index)
            for message in _messages(list(writes)):
                yield audit_pb2.CheckHistoryRequest(acknowledged=message)

        try:
            async with self._dial(self._node, self._address) as channel:
                stub: Any = audit_pb2_grpc.AuditServiceStub(channel)
                response: audit_pb2.CheckHistoryResponse = await stub.CheckHistory(requests(), timeout=CHECK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return response


def _messages(writes: Sequence[bytes]) -> Iterator[audit_pb2.AcknowledgedWrites]:
    for start in range(0, len(writes), WRITES_PER_MESSAGE):
        yield audit_pb2.AcknowledgedWrites(writes=b"".join(writes[start : start + WRITES_PER_MESSAGE]))
