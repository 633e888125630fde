"""`weftmesh.access.v1`: roles, and the audit log of a node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from weftmesh.access.v1 import access_pb2, access_pb2_grpc, audit_log_pb2, audit_log_pb2_grpc
from weftmesh.client.calls import Calls
from weftmesh.client.errors import from_call_error
from weftmesh.client.requests import new_request_id


class AccessApi:
    """Roles. Calls raise WeftmeshError; `timeout_s` None is `limits.CALL_TIMEOUT_S`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub: Any = access_pb2_grpc.AccessServiceStub(calls.channel)

    async def list_bindings(
        self, request: access_pb2.ListBindingsRequest | None = None, *, timeout_s: float | None = None
    ) -> access_pb2.ListBindingsResponse:
        """Who has which role, as far as the caller may know."""
        answer: access_pb2.ListBindingsResponse = await self._calls.read(
            self._stub.ListBindings, request or access_pb2.ListBindingsRequest(), timeout_s
        )
        return answer

    async def change_access(
        self, request: access_pb2.ChangeAccessRequest, *, timeout_s: float | None = None
    ) -> access_pb2.ChangeAccessResponse:
        """Give or take a role, sent again if need be; the request gets an id when it has none."""
        copy = access_pb2.ChangeAccessRequest()
        copy.CopyFrom(request)
        copy.request_id = request.request_id or new_request_id()
        answer: access_pb2.ChangeAccessResponse = await self._calls.repeated(self._stub.ChangeAccess, copy, timeout_s)
        return answer

    async def check_access(
        self, request: access_pb2.CheckAccessRequest, *, timeout_s: float | None = None
    ) -> access_pb2.CheckAccessResponse:
        """Whether a subject has a permission, and why or why not."""
        answer: access_pb2.CheckAccessResponse = await self._calls.read(self._stub.CheckAccess, request, timeout_s)
        return answer

    async def who_am_i(self, *, timeout_s: float | None = None) -> access_pb2.WhoAmIResponse:
        """Who the caller is to the node."""
        answer: access_pb2.WhoAmIResponse = await self._calls.read(
            self._stub.WhoAmI, access_pb2.WhoAmIRequest(), timeout_s
        )
        return answer


class AuditLogApi:
    """The audit log of the node."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub: Any = audit_log_pb2_grpc.AuditLogServiceStub(calls.channel)

    async def read(
        self, request: audit_log_pb2.ReadAuditLogRequest, *, timeout_s: float | None = None
    ) -> AsyncIterator[audit_log_pb2.AuditRecord]:
        """Records, the oldest first; asked once.

        Args:
            request: which.
            timeout_s: for the whole; None for no end, as for a caller that follows.

        Raises:
            ForbiddenError: the caller does not administer the mesh.
            OverloadedError: others are reading already.
        """
        try:
            async for part in self._stub.ReadAuditLog(request, timeout=timeout_s):
                for record in part.records:
                    yield record
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self._calls.target) from error

    async def verify(
        self, anchor: audit_log_pb2.AuditLogHead | None = None, *, timeout_s: float | None = None
    ) -> audit_log_pb2.AuditLogVerification:
        """Check every record, and look for what was noted earlier. Raises as `read` does."""
        request = audit_log_pb2.VerifyAuditLogRequest(anchor=anchor)
        checked: audit_log_pb2.AuditLogVerification = await self._calls.once(
            self._stub.VerifyAuditLog, request, timeout_s
        )
        return checked
