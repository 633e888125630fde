"""The interceptor at the door of a server: asks a gate before a call costs anything, and reads requests within bounds.

gRPC hands a call with one request to its handler only when the request is there in full. A caller that sends headers
and no more would hold its place for ever, and nobody would know whose it is. Here such a call is taken as a stream of
one: the gate learns of it at once, and the request has to arrive in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc

from weftmesh.core.errors import InvalidInputError, OverloadedError
from weftmesh.core.records import record
from weftmesh.runtime.rpc import METADATA_BYTES_ABSOLUTE_MAX
from weftmesh.runtime.rpc_arrival import Arrivals
from weftmesh.runtime.rpc_handlers import HandlerMemo
from weftmesh.runtime.rpc_server import end_call

ARRIVAL_S: Final = 30.0
"""For one request to arrive once its call has begun: 4 MiB at 1.1 Mbit/s."""
METHOD_CHARACTERS_MAX: Final = 200
"""Of an unknown method's name, in the answer."""

METADATA_ENTRIES_MAX: Final = 128
"""Headers of one call; so many of the shortest would be a fourth of what they may take together."""

Context = grpc.aio.ServicerContext[Any, Any]

if TYPE_CHECKING:  # grpc's own class takes no parameters at run time
    _Handler = grpc.RpcMethodHandler[Any, Any]
    _Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]


@record(frozen=True, slots=True)
class Ticket:
    """A call that was let in.

    Attributes:
        arriving: entered while its request arrives; a semaphore bounds the memory that halves of requests take.
        leave: called when the call has ended.
    """

    arriving: AbstractAsyncContextManager[object]
    leave: Callable[[], None]


class Gate(Protocol):
    """Says who may begin a call."""

    def enter(self, method: str, context: Context) -> Ticket:
        """Let a call in.

        Args:
            method: /package.Service/Method, as it was asked for; None of its parts need exist.
            context: of the call.

        Raises:
            WeftmeshError: it is refused.
        """

    def bloated(self, context: Context) -> None:
        """A call was refused for headers beyond what gRPC was told to take, which it takes before its settings hold."""


class GateInterceptor(grpc.aio.ServerInterceptor):
    """Puts a gate before every method, unknown ones included. The first of a server's interceptors.

    Args:
        gate: is asked.
        arrival_s: how long a request may take to arrive.
    """

    def __init__(self, gate: Gate, arrival_s: float = ARRIVAL_S) -> None:
        self._gate = gate
        self._arrivals = Arrivals(arrival_s)
        self._wrapped = HandlerMemo(self._wrap)

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler:
        """Wrap the method's handler."""
        method = handler_call_details.method
        if _is_bloated(handler_call_details.invocation_metadata or ()):
            return grpc.stream_stream_rpc_method_handler(self._bloated(method))
        handler = await continuation(handler_call_details)
        if handler is None:
            return grpc.stream_unary_rpc_method_handler(self._unknown(method))
        return self._wrapped.of(method, handler)

    def _wrap(self, method: str, handler: _Handler) -> _Handler:
        answers = handler.response_serializer
        if handler.unary_unary is not None:
            return grpc.stream_unary_rpc_method_handler(self._unary_unary(method, handler), None, answers)
        if handler.unary_stream is not None:
            return grpc.stream_stream_rpc_method_handler(self._unary_stream(method, handler), None, answers)
        parse = handler.request_deserializer
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._stream_unary(method, handler.stream_unary), parse, answers
            )
        return grpc.stream_stream_rpc_method_handler(self._stream_stream(method, handler.stream_stream), parse, answers)

    def _unary_unary(self, method: str, handler: _Handler) -> Callable[..., Any]:
        behavior: Any = handler.unary_unary

        async def answer(_requests: object, context: Context) -> Any:
            ticket = await self._enter(method, context)
            try:
                request = await self._request(method, handler, ticket, context)
                return await behavior(request, context)
            finally:
                ticket.leave()

        return answer

    def _unary_stream(self, method: str, handler: _Handler) -> Callable[..., Any]:
        behavior: Any = handler.unary_stream

        async def stream(_requests: object, context: Context) -> None:
            ticket = await self._enter(method, context)
            try:
                request = await self._request(method, handler, ticket, context)
                await _answer_all(behavior(request, context), context)
            finally:
                ticket.leave()

        return stream

    def _stream_unary(self, method: str, behavior: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(requests: AsyncIterator[Any], context: Context) -> Any:
            ticket = await self._enter(method, context)
            try:
                return await behavior(requests, context)
            finally:
                ticket.leave()

        return answer

    def _stream_stream(self, method: str, behavior: Any) -> Callable[..., Any]:
        async def stream(requests: AsyncIterator[Any], context: Context) -> None:
            ticket = await self._enter(method, context)
            try:
                await _answer_all(behavior(requests, context), context)
            finally:
                ticket.leave()

        return stream

    def _bloated(self, method: str) -> Callable[..., Any]:
        async def stream(_requests: object, context: Context) -> None:
            self._gate.bloated(context)
            large = f"the headers of a call take at most {METADATA_BYTES_ABSOLUTE_MAX} bytes; send less"
            await end_call(method, context, OverloadedError(large, reason="HEADERS_TOO_LARGE"))

        return stream

    def _unknown(self, method: str) -> Callable[..., Any]:
        async def answer(_requests: object, context: Context) -> Any:
            (await self._enter(method, context)).leave()
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"there is no method {method[:METHOD_CHARACTERS_MAX]} here"
            )

        return answer

    async def _enter(self, method: str, context: Context) -> Ticket:
        try:
            return self._gate.enter(method, context)
        except Exception as error:  # noqa: BLE001, the boundary of the process, as in rpc_server
            await end_call(method, context, error)

    async def _request(self, method: str, handler: _Handler, ticket: Ticket, context: Context) -> Any:
        """The one request, within its time."""
        try:
            data: Any = await self._arrivals.read(context, ticket.arriving)
        except TimeoutError:
            late = f"the request did not arrive within {self._arrivals.limit_s:g} s; try again, or send less at a time"
            await end_call(method, context, OverloadedError(late, reason="REQUEST_TOO_SLOW"))
        if data is grpc.aio.EOF:
            # Cancelled, or refused by gRPC itself for its size: then nobody hears this.
            await end_call(method, context, InvalidInputError("the call ended before its request had arrived"))
        return handler.request_deserializer(data) if handler.request_deserializer else data


async def _answer_all(answers: AsyncGenerator[Any, None], context: Context) -> None:
    """Write every answer. Of one that a broken connection does not take, gRPC would log a traceback."""
    async with aclosing(answers):
        async for answer in answers:
            try:
                await context.write(answer)
            except grpc.aio.InternalError as gone:
                raise asyncio.CancelledError from gone


def _is_bloated(metadata: Sequence[tuple[str, str | bytes]]) -> bool:
    """Whether headers are beyond the bound that gRPC keeps to once a client has acknowledged our settings."""
    if len(metadata) > METADATA_ENTRIES_MAX:
        return True
    return sum(len(name) + len(value) for name, value in metadata) > METADATA_BYTES_ABSOLUTE_MAX
