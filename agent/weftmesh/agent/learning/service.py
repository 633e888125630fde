"""The LearningService, for the coordinator, the learner and people on this node: each method hands on to its part."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from weftmesh.agent.learning.access import Access
from weftmesh.agent.learning.duty import DutyWatch
from weftmesh.agent.learning.model_parts import from_parts, to_parts
from weftmesh.agent.serving.callers import Context
from weftmesh.agent.serving.requests import Call, call_of
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.runtime.rpc import waits

if TYPE_CHECKING:
    from weftmesh.agent.learning.assembly import Parts

EXCHANGE_WAIT_MAX_S: Final = 150.0
"""For a question whose caller set no deadline: its learner may have to be started, and to train."""


class LearningServicer(learning_pb2_grpc.LearningServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.learning.v1.LearningService on the local socket; learning.proto documents each method."""

    def __init__(self, access: Access, duty: DutyWatch, parts: Callable[[], Awaitable[Parts]]) -> None:
        self._access = access
        self._duty = duty
        self._parts = parts

    async def WatchDuty(  # noqa: N802
        self,
        request: learning_pb2.WatchDutyRequest,  # noqa: ARG002
        context: Context,
    ) -> AsyncIterator[learning_pb2.Duty]:
        """See learning.proto."""
        self._access.process(context)
        async for duty in self._duty.follow():
            yield duty

    async def Propose(  # noqa: N802
        self, request: learning_pb2.ProposeRequest, context: Context
    ) -> learning_pb2.ProposeResponse:
        """See learning.proto."""
        call = call_of(self._access.process(context), context)
        parts = await self._parts()
        return await parts.proposals.propose(request.command, call)

    @waits
    async def Exchange(  # noqa: N802
        self, request: learning_pb2.ExchangeRequest, context: Context
    ) -> learning_pb2.ExchangeResponse:
        """See learning.proto."""
        self._access.process(context)
        parts = await self._parts()
        remaining_s = context.time_remaining()
        return await parts.exchanges.carry(request, EXCHANGE_WAIT_MAX_S if remaining_s is None else remaining_s)

    async def Attend(  # noqa: N802
        self, request_iterator: AsyncIterator[learning_pb2.LearnerMessage], context: Context
    ) -> AsyncIterator[learning_pb2.AgentMessage]:
        """See learning.proto."""
        self._access.process(context)
        parts = await self._parts()
        async for message in parts.attendance.attend(request_iterator):
            yield message

    async def SignStatement(  # noqa: N802
        self, request: learning_pb2.SignStatementRequest, context: Context
    ) -> learning_pb2.SignStatementResponse:
        """See learning.proto."""
        self._access.process(context)
        parts = await self._parts()
        return learning_pb2.SignStatementResponse(signature=parts.statements.sign(request.statement))

    async def CheckStatements(  # noqa: N802
        self, request: learning_pb2.CheckStatementsRequest, context: Context
    ) -> learning_pb2.CheckStatementsResponse:
        """See learning.proto."""
        self._access.process(context)
        parts = await self._parts()
        return learning_pb2.CheckStatementsResponse(verdicts=await parts.statements.check(request.statements))

    async def PutModel(  # noqa: N802
        self, request_iterator: AsyncIterator[learning_pb2.ModelPart], context: Context
    ) -> learning_pb2.PutModelResponse:
        """See learning.proto."""
        self._access.process(context)
        parts = await self._parts()
        async with parts.models.for_processes:
            holders = await parts.models.put(await from_parts(request_iterator))
        return learning_pb2.PutModelResponse(holders=holders)

    async def GetModel(  # noqa: N802
        self, request: learning_pb2.GetModelRequest, context: Context
    ) -> AsyncIterator[learning_pb2.ModelPart]:
        """See learning.proto."""
        self._access.process(context)
        parts = await self._parts()
        async with parts.models.for_processes:
            for part in to_parts(await parts.models.get(request.sha256)):
                yield part

    async def GetLearning(  # noqa: N802
        self, request: learning_pb2.GetLearningRequest, context: Context
    ) -> learning_pb2.Learning:
        """See learning.proto."""
        call = self._person(context)
        parts = await self._parts()
        return await parts.reading.learning(request, call)

    async def ListCycleTimes(  # noqa: N802
        self, request: learning_pb2.ListCycleTimesRequest, context: Context
    ) -> AsyncIterator[learning_pb2.CycleTimes]:
        """See learning.proto."""
        self._access.process(context)
        parts = await self._parts()
        async for part in parts.cycle_times.parts(request):
            yield part

    @waits
    async def AwaitIntent(  # noqa: N802
        self, request: learning_pb2.AwaitIntentRequest, context: Context
    ) -> learning_pb2.AwaitIntentResponse:
        """See learning.proto."""
        call = self._person(context)
        parts = await self._parts()
        return await parts.reading.intent(request, call)

    async def ChangeLearning(  # noqa: N802
        self, request: learning_pb2.ChangeLearningRequest, context: Context
    ) -> learning_pb2.ProposeResponse:
        """See learning.proto."""
        call = self._person(context)
        parts = await self._parts()
        return await parts.proposals.change(request, call)

    async def ForecastTask(  # noqa: N802
        self, request: learning_pb2.ForecastTaskRequest, context: Context
    ) -> learning_pb2.TaskForecast:
        """See learning.proto."""
        self._access.person(context)
        parts = await self._parts()
        return await parts.forecasts.forecast(request)

    async def DryRun(  # noqa: N802
        self, request: learning_pb2.DryRunRequest, context: Context
    ) -> learning_pb2.DryRunReport:
        """See learning.proto."""
        self._access.person(context)
        parts = await self._parts()
        return await parts.dry_runs.run(request)

    def _person(self, context: Context) -> Call:
        return call_of(self._access.person(context), context)
