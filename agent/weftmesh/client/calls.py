"""One unary call: its deadline, its retries, and its errors in our own tree."""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.protobuf.message import Message

from weftmesh.client.errors import RETRYABLE, from_call_error, unreachable
from weftmesh.client.limits import CALL_TIMEOUT_S
from weftmesh.client.requests import prepared
from weftmesh.client.retry import until_deadline
from weftmesh.core.errors import NodeUnreachableError, UnknownOutcomeError

REQUEST_ID_FIELD: Final = "request_id"


class Calls:
    """Makes calls over one channel.

    Attributes:
        channel: to the node.
        target: the node's address, for messages.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str) -> None:
        self.channel = channel
        self.target = target

    async def once(self, method: Any, request: Message, timeout_s: float | None) -> Any:
        """Send a request that must not be sent twice."""
        try:
            return await method(request, timeout=CALL_TIMEOUT_S if timeout_s is None else timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self.target) from error

    async def read(self, method: Any, request: Message, timeout_s: float | None) -> Any:
        """Send a request that changes nothing, again if need be."""
        try:
            return await self._again_and_again(method, request, timeout_s)
        except UnknownOutcomeError as error:
            raise unreachable(self.target, "no answer in time") from error

    async def repeated(self, method: Any, request: Message, timeout_s: float | None) -> Any:
        """Send a request that comes to the same however often it arrives, again if need be."""
        return await self._again_and_again(method, request, timeout_s)

    async def write(self, method: Any, request: Message, timeout_s: float | None) -> Any:
        """Send a write, again under the same request id if need be.

        Raises:
            UnknownOutcomeError: nobody could say in time whether the write was applied; `metadata["request_id"]` is the
                id to retry it with.
        """
        copy: Any = prepared(request)
        maybe_applied = False

        async def attempt(left_s: float) -> Any:
            nonlocal maybe_applied
            try:
                return await self.once(method, copy, left_s)
            except (NodeUnreachableError, UnknownOutcomeError):
                maybe_applied = not copy.validate_only
                raise

        try:
            return await until_deadline(attempt, _whole_s(timeout_s))
        except UnknownOutcomeError as error:
            error.metadata.setdefault(REQUEST_ID_FIELD, copy.request_id)
            raise
        except RETRYABLE as error:
            if maybe_applied:  # by an earlier attempt, whatever the last one says of itself
                raise unknown_outcome(self.target, copy.request_id) from error
            raise

    async def _again_and_again(self, method: Any, request: Message, timeout_s: float | None) -> Any:
        return await until_deadline(lambda left_s: self.once(method, request, left_s), _whole_s(timeout_s))


def _whole_s(timeout_s: float | None) -> float:
    return CALL_TIMEOUT_S if timeout_s is None else timeout_s


def unknown_outcome(target: str, request_id: str) -> UnknownOutcomeError:
    """The error of a write that was sent to a node which then went silent."""
    return UnknownOutcomeError(
        f"the connection to {target} broke under a write, which may or may not have been applied; "
        f"retry it with request id {request_id}: it is applied once at most, and the retry tells",
        metadata={REQUEST_ID_FIELD: request_id},
    )
