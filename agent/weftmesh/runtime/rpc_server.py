"""The interceptor between handlers and callers: errors leave as statuses, surprises leave as an id."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, Final, NoReturn, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError

from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.runtime.rpc_handlers import WrappingInterceptor, behavior_of, with_behavior
from weftmesh.runtime.rpc_headers import HeadersFirst
from weftmesh.runtime.rpc_status import to_status, to_trailers

SLOW_CALL_S: Final = 1.0
"""A call with one answer that takes longer is logged, unless its handler `waits`."""

_log = structlog.stdlib.get_logger("weftmesh.rpc")

# grpc's handlers are untyped: each kind of call has its own shape, and servicers may answer by return, yield or write.
_Behavior = Callable[[Any, Any], Any]


_Handler = TypeVar("_Handler", bound=Callable[..., Any])
_WAITS: Final = "waits_for_others"


def waits(handler: _Handler) -> _Handler:
    """Mark a handler that waits for somebody else for as long as it was asked to: its calls are long, and not slow."""
    vars(handler)[_WAITS] = True
    return handler


class _Malformed:
    """Stands in for a request whose bytes are not a message; gRPC would answer UNKNOWN and log a traceback."""


class ErrorInterceptor(WrappingInterceptor):
    """Turns what handlers raise into statuses.

    A WeftmeshError becomes its status with typed details. Anything else becomes INTERNAL with an id that the log
    explains: a caller learns nothing of what is inside. Handlers must be coroutines or asynchronous generators.
    """

    def __init__(self, slow_call_s: float = SLOW_CALL_S) -> None:
        super().__init__()
        self._slow_call_s = slow_call_s

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        # A stream is parsed inside the handler, whose errors are caught below.
        parse = None if handler.request_streaming else handler.request_deserializer
        wrap = self._streaming if handler.response_streaming else self._answering
        return with_behavior(handler, wrap(method, behavior_of(handler)), parse and _tolerant(parse))

    def _answering(self, method: str, behavior: _Behavior) -> _Behavior:
        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            started_s = time.monotonic()
            try:
                _refuse_malformed(request)
                response = behavior(request, HeadersFirst(context))
                return await response if isawaitable(response) else response
            except Exception as error:  # noqa: BLE001, the boundary of the process: nothing unknown may leave it
                await end_call(method, context, error)
            finally:
                duration_s = time.monotonic() - started_s
                if duration_s >= self._slow_call_s and not getattr(behavior, _WAITS, False):
                    _log.warning("slow call", method=method, duration_s=round(duration_s, 3))

        return answer

    def _streaming(self, method: str, behavior: _Behavior) -> _Behavior:
        async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            headed = HeadersFirst(context)
            try:
                _refuse_malformed(request)
                responses = behavior(request, headed)
                if isawaitable(responses):
                    # The handler answers through context.write.
                    await responses
                    return
                async with aclosing(responses):
                    async for response in responses:
                        await headed.begin()
                        yield response
            except Exception as error:  # noqa: BLE001, the boundary of the process: nothing unknown may leave it
                await end_call(method, context, error)

        return stream


def _tolerant(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parsed(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _Malformed()

    return parsed


def _refuse_malformed(request: object) -> None:
    if isinstance(request, _Malformed):
        raise InvalidInputError("the request is not a message of this method; check the client's version of the API")


async def end_call(method: str, context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    """End a call with the status of `error`; whoever is no WeftmeshError is told as an id alone.

    Args:
        method: of the call, for the log.
        context: of the call.
        error: why it ends.
    """
    if isinstance(error, grpc.aio.AbortError):
        # The handler has ended the call itself.
        raise error
    if context.cancelled():
        # Nobody is left to tell; what failed is most likely the answer to a caller that went away.
        raise asyncio.CancelledError from error
    if isinstance(error, grpc.aio.InternalError):
        # gRPC's own word for an answer that a broken connection did not take, before the call counts as cancelled.
        error = WeftmeshError("the connection broke under the call")
    code, status = to_status(what_is_told(method, error))
    message, trailers = to_trailers(status)
    try:
        await context.abort(code, message, trailers)
    except (grpc.aio.InternalError, grpc.aio.UsageError) as gone:
        # The connection is broken, or it broke under an abort of the handler's own.
        raise asyncio.CancelledError from gone


def what_is_told(method: str, error: Exception) -> WeftmeshError:
    """Return what a caller may know of `error`."""
    if isinstance(error, WeftmeshError):
        return error
    if isinstance(error, DecodeError):
        return InvalidInputError("a message in the stream is malformed; check the client's version of the API")
    error_id = secrets.token_hex(4)
    _log.error("internal error", error_id=error_id, method=method, exc_info=error)
    return WeftmeshError(
        f"internal error {error_id}; the log of the node that answered has it under this id",
        metadata={"error_id": error_id},
    )
