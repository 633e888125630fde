"""`weftmesh.ola.v1.OlaService`, one typed method a call: for people, the router and whoever leads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

import grpc

from weftmesh.client.calls import Calls
from weftmesh.client.errors import from_call_error
from weftmesh.client.requests import new_request_id
from weftmesh.ola.v1 import command_pb2, ola_pb2, ola_pb2_grpc


class OlaApi:
    """The node's side of agreements. Calls raise WeftmeshError; `timeout_s` None is `limits.CALL_TIMEOUT_S`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub: Any = ola_pb2_grpc.OlaServiceStub(calls.channel)

    async def get_agreements(
        self, request: ola_pb2.GetAgreementsRequest | None = None, *, timeout_s: float | None = None
    ) -> ola_pb2.AgreementsView:
        """What was agreed, and what happened to it of late."""
        answer: ola_pb2.AgreementsView = await self._calls.read(
            self._stub.GetAgreements, request or ola_pb2.GetAgreementsRequest(), timeout_s
        )
        return answer

    async def watch_agreements(self, after_revision: int = 0) -> AsyncGenerator[ola_pb2.AgreementsChange, None]:
        """What routes need, at once and with each change, until the call breaks; whoever stops reading ends it."""
        call = self._stub.WatchAgreements(ola_pb2.WatchAgreementsRequest(after_revision=after_revision))
        try:
            async for change in call:
                yield change
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self._calls.target) from error
        finally:
            call.cancel()

    async def get_history(
        self, name: str, from_s: int = 0, *, check_signatures: bool = False, timeout_s: float | None = None
    ) -> ola_pb2.History:
        """What was counted and confirmed of an agreement.

        Args:
            name: of the agreement.
            from_s: since when, Unix seconds; 0 for the agreement's window.
            check_signatures: also whether nodes signed their confirmations; on the local socket only.
            timeout_s: see the class.

        Raises:
            NotFoundError: there is no such agreement.
        """
        request = ola_pb2.GetHistoryRequest(name=name, from_s=from_s, check_signatures=check_signatures)
        answer: ola_pb2.History = await self._calls.read(self._stub.GetHistory, request, timeout_s)
        return answer

    async def change_agreements(
        self, request: ola_pb2.ChangeAgreementsRequest, *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        """A change, sent again if need be; it gets a request id when it has none."""
        copy = ola_pb2.ChangeAgreementsRequest()
        copy.CopyFrom(request)
        copy.request_id = request.request_id or new_request_id()
        answer: ola_pb2.ChangeAgreementsResponse = await self._calls.repeated(
            self._stub.ChangeAgreements, copy, timeout_s
        )
        return answer

    async def record_window(
        self, starts_s: int, counts: Iterable[command_pb2.ObjectiveCount], *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        """What this node counted in a window that is over; the first word for a window holds."""
        request = ola_pb2.RecordWindowRequest(starts_s=starts_s, counts=counts)
        answer: ola_pb2.ChangeAgreementsResponse = await self._calls.repeated(
            self._stub.RecordWindow, request, timeout_s
        )
        return answer

    async def confirm_window(
        self, starts_s: int, agreements: Iterable[command_pb2.ConfirmedAgreement], *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        """Let the node sign the window that it recorded."""
        request = ola_pb2.ConfirmWindowRequest(starts_s=starts_s, agreements=agreements)
        answer: ola_pb2.ChangeAgreementsResponse = await self._calls.repeated(
            self._stub.ConfirmWindow, request, timeout_s
        )
        return answer
