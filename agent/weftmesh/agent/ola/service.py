"""The OlaService: each method hands on to its part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from weftmesh.agent.ola.access import Access
from weftmesh.agent.ola.changing import Changes
from weftmesh.agent.ola.following import Following
from weftmesh.agent.ola.replica import Replica
from weftmesh.agent.ola.verifying import WindowVerifier
from weftmesh.agent.serving.callers import Context
from weftmesh.agent.serving.requests import call_of
from weftmesh.core.errors import NotFoundError
from weftmesh.core.ola.replicated.rows import WINDOW_S
from weftmesh.ola.v1 import ola_pb2, ola_pb2_grpc
from weftmesh.runtime.rpc import waits
from weftmesh.runtime.wire.ola_views import agreements_view, history_view

EVENTS_DEFAULT: Final = 20
EVENTS_MAX: Final = 1_000


class OlaServicer(ola_pb2_grpc.OlaServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.ola.v1.OlaService; ola.proto documents each method."""

    def __init__(self, access: Access, replica: Replica, changes: Changes, verifier: WindowVerifier) -> None:
        self._access = access
        self._replica = replica
        self._changes = changes
        self._verifier = verifier
        self._following = Following(replica)

    async def GetAgreements(  # noqa: N802
        self, request: ola_pb2.GetAgreementsRequest, context: Context
    ) -> ola_pb2.AgreementsView:
        """See ola.proto."""
        call = call_of(self._access.reader(context), context)
        await self._replica.reach(request.min_revision, call.remaining_s)
        limit = min(request.event_limit, EVENTS_MAX) or EVENTS_DEFAULT
        return agreements_view(
            self._replica.agreements, request.name, all_generations=request.all_generations, event_limit=limit
        )

    @waits
    async def WatchAgreements(  # noqa: N802
        self, request: ola_pb2.WatchAgreementsRequest, context: Context
    ) -> AsyncIterator[ola_pb2.AgreementsChange]:
        """See ola.proto."""
        self._access.reader(context)
        async for change in self._following.follow(request.after_revision):
            yield change

    async def GetHistory(  # noqa: N802
        self, request: ola_pb2.GetHistoryRequest, context: Context
    ) -> ola_pb2.History:
        """See ola.proto."""
        caller = self._access.person(context) if request.check_signatures else self._access.reader(context)
        machine = self._replica.agreements
        generation = machine.read.generation(request.name)
        if generation is None:
            raise NotFoundError(f"there is no agreement {request.name[:63]!r}; see `weftmesh ola ls`")
        from_s = request.from_s or machine.read.newest_s + WINDOW_S - generation.agreement.window_s
        history = history_view(machine, generation, from_s)
        if request.check_signatures:
            history.checks.extend(await self._verifier.check(request.name, call_of(caller, context).remaining_s / 2))
        return history

    async def ChangeAgreements(  # noqa: N802
        self, request: ola_pb2.ChangeAgreementsRequest, context: Context
    ) -> ola_pb2.ChangeAgreementsResponse:
        """See ola.proto."""
        return await self._changes.change(request, call_of(self._access.person(context), context))

    async def RecordWindow(  # noqa: N802
        self, request: ola_pb2.RecordWindowRequest, context: Context
    ) -> ola_pb2.ChangeAgreementsResponse:
        """See ola.proto."""
        return await self._changes.record(request, call_of(self._access.process(context), context))

    async def ConfirmWindow(  # noqa: N802
        self, request: ola_pb2.ConfirmWindowRequest, context: Context
    ) -> ola_pb2.ChangeAgreementsResponse:
        """See ola.proto."""
        return await self._changes.confirm(request, call_of(self._access.process(context), context))
