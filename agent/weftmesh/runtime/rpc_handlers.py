"""What interceptors make of methods' handlers: the same with each call, and remembered, as it takes 20 us to make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import grpc

METHODS_MAX: Final = 1_024
"""Remembered; those beyond are wrapped anew with each call. Handlers of unknown methods never get here."""

_MAKERS: Final[dict[tuple[bool, bool], Callable[..., Any]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By whether requests and answers are streams."""

if TYPE_CHECKING:  # grpc's own class takes no parameters at run time
    Handler = grpc.RpcMethodHandler[Any, Any]


class HandlerMemo:
    """What was made of each method's handler.

    Args:
        wrap: makes it of a method's name and its handler.
    """

    def __init__(self, wrap: Callable[[str, Handler], Handler]) -> None:
        self._wrap = wrap
        self._known: dict[str, tuple[Handler, Handler]] = {}

    def of(self, method: str, handler: Handler) -> Handler:
        """The wrapped handler; wrapped anew where the server has another one for the method than before."""
        known = self._known.get(method)
        if known is not None and known[0] is handler:
            return known[1]
        wrapped = self._wrap(method, handler)
        if known is not None or len(self._known) < METHODS_MAX:
            self._known[method] = (handler, wrapped)
        return wrapped


class WrappingInterceptor(grpc.aio.ServerInterceptor, ABC):
    """Puts something around every method's handler, the same with each call."""

    def __init__(self) -> None:
        self._wrapped = HandlerMemo(self._wrap)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the method's handler; None for a method that nobody serves."""
        handler = await continuation(handler_call_details)
        return None if handler is None else self._wrapped.of(handler_call_details.method, handler)

    @abstractmethod
    def _wrap(self, method: str, handler: Handler) -> Handler:
        """What is to answer in place of a method's handler."""


def behavior_of(handler: Handler) -> Any:
    """What answers a call, whatever kind of call it is."""
    return handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream


def with_behavior(
    handler: Handler, behavior: Callable[[Any, Any], Any], parse: Callable[[bytes], Any] | None = None
) -> Handler:
    """A handler of the same kind that answers by `behavior`, and takes requests in by `parse`, if there is one."""
    make = _MAKERS[handler.request_streaming, handler.response_streaming]
    made: Handler = make(behavior, parse or handler.request_deserializer, handler.response_serializer)
    return made
