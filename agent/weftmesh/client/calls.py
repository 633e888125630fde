"""One unary call: its deadline, its retries, and its errors in our own tree."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.message import Message

from weftmesh.client.errors import from_call_error, is_retryable, unreachable
from weftmesh.client.limits import whole_s
from weftmesh.client.retry import until_deadline
from weftmesh.core.errors import UnknownOutcomeError, WeftmeshError


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
            return await method(request, timeout=whole_s(timeout_s))
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self.target) from error

    async def read(self, method: Any, request: Message, timeout_s: float | None) -> Any:
        """Send a request that changes nothing, again if need be."""
        try:
            return await until_deadline(lambda left_s: self.once(method, request, left_s), whole_s(timeout_s))
        except UnknownOutcomeError as error:
            raise unreachable(self.target, "no answer in time") from error

    async def repeated(self, method: Any, request: Message, timeout_s: float | None) -> Any:
        """Send a request that comes to the same however often it arrives, again if need be.

        Raises:
            UnknownOutcomeError: the time is up, and an attempt came to this: a later one that did nothing, for want of
                a quorum, says nothing of the earlier one.
        """
        unknown: UnknownOutcomeError | None = None

        async def attempt(left_s: float) -> Any:
            nonlocal unknown
            try:
                return await self.once(method, request, left_s)
            except UnknownOutcomeError as error:
                unknown = error
                raise

        try:
            return await until_deadline(attempt, whole_s(timeout_s))
        except WeftmeshError as error:
            if unknown is not None and is_retryable(error):
                raise unknown from error
            raise
