"""The gate before every service of a node: nobody passes who may not, and what passes to change something is noted.

A method that the table of permissions does not have is refused to everybody. A stream of answers that was opened while
its caller was allowed to ends when the caller no longer is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

import grpc

from weftmesh.agent.access.authorizing import Authorizer, Decision
from weftmesh.agent.access.identities import GROUPS_FRESH_S
from weftmesh.agent.access.journal import Journal, Note
from weftmesh.agent.access.permissions import RULES, Rule
from weftmesh.agent.serving.callers import Caller, Callers, Context
from weftmesh.core.access.roles import Permission
from weftmesh.core.errors import ForbiddenError, NotFoundError, OverloadedError, UnauthenticatedError, WeftmeshError
from weftmesh.runtime.clock import wall_us
from weftmesh.runtime.identity.shown import certificate_of
from weftmesh.runtime.rpc_handlers import WrappingInterceptor, behavior_of, with_behavior

_DENIALS: Final = (ForbiddenError, UnauthenticatedError, NotFoundError)
_NOBODY: Final = Caller("unknown", "", "")
_Behavior = Callable[[Any, Any], Any]
if TYPE_CHECKING:  # grpc's own class takes no parameters at run time
    _Handler = grpc.RpcMethodHandler[Any, Any]


class _OpenStream:
    """A stream of answers that may have to end."""

    __slots__ = ("caller", "refusal", "request", "rule", "task")

    def __init__(self, rule: Rule, request: Any, caller: Caller) -> None:
        self.rule = rule
        self.request = request
        self.caller = caller
        self.refusal: WeftmeshError | None = None
        self.task = asyncio.current_task()


class Enforcement(WrappingInterceptor):
    """The gate; stands behind the interceptor that turns errors into statuses.

    Args:
        authorizer: decides.
        callers: tells who calls.
        journal: is told of changes and refusals.
        look_interval_s: between two looks at streams whose callers' groups may have changed.
    """

    def __init__(
        self, authorizer: Authorizer, callers: Callers, journal: Journal, look_interval_s: float = GROUPS_FRESH_S
    ) -> None:
        super().__init__()
        self._authorizer = authorizer
        self._callers = callers
        self._journal = journal
        self._look_interval_s = look_interval_s
        self._streams: set[_OpenStream] = set()
        self._timer: asyncio.TimerHandle | None = None
        authorizer.on_change(self._look_at_streams)

    def _wrap(self, method: str, handler: _Handler) -> _Handler:
        wrap = self._streaming if handler.response_streaming else self._answering
        if handler.request_streaming:
            wrap = self._passing
        return with_behavior(handler, wrap(method, RULES.get(method), behavior_of(handler)))

    def _passing(self, method: str, rule: Rule | None, behavior: Any) -> _Behavior:
        """The gate alone: what has one answer and changes nothing, and streams from the caller."""

        @wraps(behavior)
        def passed(request: Any, context: Context) -> Any:
            self._admit(method, rule, request, context)
            return behavior(request, context)

        return passed

    def _answering(self, method: str, rule: Rule | None, behavior: Any) -> _Behavior:
        if rule is None or not rule.changes:
            return self._passing(method, rule, behavior)

        @wraps(behavior)
        async def changed(request: Any, context: Context) -> Any:
            caller, decision = self._admit(method, rule, request, context)
            self._journal.check()
            try:
                response = behavior(request, context)
                if isawaitable(response):
                    response = await response
            except BaseException as error:
                self._note(method, caller, context, request, error=error, decision=decision)
                raise
            if not getattr(request, "validate_only", False):
                self._note(method, caller, context, request, response=response, decision=decision)
            return response

        return changed

    def _streaming(self, method: str, rule: Rule | None, behavior: Any) -> _Behavior:
        @wraps(behavior)
        def opened(request: Any, context: Context) -> Any:
            caller, decision = self._admit(method, rule, request, context)
            if rule is None or rule.need in (Permission.CALL, Permission.PEER):
                return behavior(request, context)
            if rule.changes:
                self._journal.check()
                self._note(method, caller, context, request, decision=decision)
            return self._revocable(rule, request, caller, behavior(request, context))

        return opened

    async def _revocable(self, rule: Rule, request: Any, caller: Caller, responses: Any) -> AsyncIterator[Any]:
        stream = _OpenStream(rule, request, caller)
        self._streams.add(stream)
        self._look_later()
        try:
            async with aclosing(responses):
                async for response in responses:
                    yield response
        except (asyncio.CancelledError, GeneratorExit):
            # An answer that is being written is cut outside of this generator, which then only sees its own end.
            if stream.refusal is None or stream.task is None:
                raise
            stream.task.uncancel()
            raise stream.refusal from None
        finally:
            self._streams.discard(stream)

    def _look_later(self) -> None:
        """Unix groups change without telling anybody, and members go."""
        if self._timer is None and self._streams:
            self._timer = asyncio.get_running_loop().call_later(self._look_interval_s, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._look_at_streams()
        self._look_later()

    def _look_at_streams(self) -> None:
        for stream in self._streams:
            try:
                self._callers.check_member(stream.caller)
                self._authorizer.admit(stream.rule, stream.request, stream.caller)
            except WeftmeshError as refusal:
                stream.refusal = refusal
                if stream.task is not None:
                    stream.task.cancel()

    def _admit(self, method: str, rule: Rule | None, request: Any, context: Context) -> tuple[Caller, Decision]:
        caller: Caller | None = None
        try:
            if rule is None:
                raise ForbiddenError(
                    f"{method} is in no row of this node's table of permissions, so nobody may call it; this is a "
                    "fault of this version",
                    reason="NOT_IN_TABLE",
                )
            if rule.need is Permission.PEER:
                # Who is a member the handlers themselves look at: one that joins is none yet.
                caller = self._callers.of_anybody_enrolled(context)
            else:
                caller = self._callers.of(context)
            if rule.each_write and hasattr(request, "WhichOneof"):
                case = request.WhichOneof("write")
                return caller, self._authorizer.admit_write(caller, case, getattr(request, case or "", None))
            return caller, self._authorizer.admit(rule, request, caller)
        except _DENIALS as error:
            self._note(method, caller or _NOBODY, context, request, error=error)
            raise

    def note_refusal(self, method: str, context: Context, error: WeftmeshError) -> None:
        """Note that a door before this gate turned a call away: a limit, or for a certificate no longer good."""
        try:
            caller = self._callers.of_anybody_enrolled(context)
        except UnauthenticatedError:
            caller = _NOBODY
        except OverloadedError:  # nobody says yet what his name is
            caller = self._callers.unnamed(context)
        self._note(method, caller, context, None, error=error)

    def _note(
        self,
        method: str,
        caller: Caller,
        context: Context,
        request: Any,
        *,
        response: Any = None,
        error: BaseException | None = None,
        decision: Decision | None = None,
    ) -> None:
        certificate = b""
        if caller.uid < 0:
            certificate = certificate_of(context)
        self._journal.note(Note(wall_us(), caller, certificate, method, request, response, error, decision))
