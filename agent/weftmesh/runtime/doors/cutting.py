"""Turns calls with a certificate that is no longer good away, and cuts those that are under way when it becomes so."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from inspect import isawaitable
from typing import Any, Protocol

import grpc
import structlog

from weftmesh.core.errors import ForbiddenError, NodeUnreachableError, UnauthenticatedError, WeftmeshError
from weftmesh.runtime.doors.doorkeeper import Connections
from weftmesh.runtime.identity.shown import Context
from weftmesh.runtime.rpc_handlers import WrappingInterceptor, behavior_of, with_behavior

_Behavior = Callable[[Any, Any], Any]

log = structlog.get_logger("weftmesh.trust")


class CertificateGate(Protocol):
    """Knows which certificates are good now."""

    def check_call(self, context: Context) -> None:
        """Return if the caller's certificate is good, or if there is none to be looked at.

        Raises:
            WeftmeshError: it is not.
        """


class RevocationInterceptor(WrappingInterceptor):
    """Stands before every method of a port, inside the interceptor that turns errors into statuses.

    Attributes:
        on_refusal: called with the method, the call and the error of each that is refused or cut.
    """

    def __init__(self, gate: CertificateGate) -> None:
        super().__init__()
        self.on_refusal: Callable[[str, Context, WeftmeshError], None] = _unheard
        self._gate = gate
        self._open: dict[Context, asyncio.Task[Any]] = {}
        self._cut: set[Context] = set()

    def cut(self) -> int:
        """End every call under way whose certificate is good no longer; returns how many."""
        # A second cancellation would hit the answer to the first: then the caller never hears that it was cut.
        found = [one for one in self._open if one not in self._cut and _is_refused(self._gate, one)]
        for context in found:
            self._cut.add(context)
            self._open[context].cancel()
        if found:
            log.warning("calls with a certificate that is no longer good were cut", calls=len(found))
        return len(found)

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        wrap = self._streaming if handler.response_streaming else self._answering
        return with_behavior(handler, wrap(method, behavior_of(handler)))

    def _answering(self, method: str, behavior: _Behavior) -> _Behavior:
        @functools.wraps(behavior)
        async def answer(request: Any, context: Context) -> Any:
            with self._admitted(method, context):
                response = behavior(request, context)
                return await response if isawaitable(response) else response

        return answer

    def _streaming(self, method: str, behavior: _Behavior) -> _Behavior:
        @functools.wraps(behavior)
        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            with self._admitted(method, context):
                responses = behavior(request, context)
                if isawaitable(responses):
                    # The handler answers through context.write.
                    await responses
                    return
                async with aclosing(responses):
                    async for response in responses:
                        yield response

        return stream

    @contextmanager
    def _admitted(self, method: str, context: Context) -> Iterator[None]:
        """Raises what the gate says of a certificate that is revoked, or that comes to be while the call goes on."""
        self._check(method, context)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101, handlers run in tasks
        self._open[context] = task
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            # An answer that is being written is cut outside of this generator, which then only sees its own end.
            if context not in self._cut:
                raise
            task.uncancel()
            self._check(method, context)
            # Its node was let in again meanwhile, as in a replay. gRPC sends no status for a cancelled handler.
            raise NodeUnreachableError("this call was cut, and its certificate is good again; call again") from None
        finally:
            self._cut.discard(context)
            del self._open[context]

    def _check(self, method: str, context: Context) -> None:
        try:
            self._gate.check_call(context)
        except WeftmeshError as error:
            self.on_refusal(method, context, error)
            raise


def disproving(
    connections: Connections, told: Callable[[str, Context, WeftmeshError], None] | None = None
) -> Callable[[str, Context, WeftmeshError], None]:
    """For `on_refusal`: a connection proves nothing by calls that are refused for their certificate.

    Args:
        connections: of the process.
        told: is called as well.
    """

    def refused(method: str, context: Context, error: WeftmeshError) -> None:
        if isinstance(error, UnauthenticatedError | ForbiddenError):
            connections.disproven(context.peer())
        if told is not None:
            told(method, context, error)

    return refused


def _unheard(_method: str, _context: Context, _error: WeftmeshError) -> None:
    """Nobody has asked to be told."""


def _is_refused(gate: CertificateGate, context: Context) -> bool:
    try:
        gate.check_call(context)
    except WeftmeshError:
        return True
    return False
