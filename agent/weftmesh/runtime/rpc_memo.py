"""Remembers what an interceptor made of a method's handler: it is the same with each call, and takes 20 us to make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import grpc

METHODS_MAX: Final = 1_024
"""Remembered; those beyond are wrapped anew with each call. Handlers of unknown methods never get here."""

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
