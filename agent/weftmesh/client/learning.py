"""`weftmesh.learning.v1.LearningService`, one typed method a call: for the learner, the coordinator and people."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog

from weftmesh.client.calls import Calls
from weftmesh.client.errors import from_call_error
from weftmesh.client.requests import new_request_id
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.runtime.wire.requests import parse_request_id

if TYPE_CHECKING:
    from weftmesh.core.aggregation.roster import SignedStatement

PART_BYTES: Final = 256 * 1024
"""Of a model, in one message."""
MODEL_BYTES_MAX: Final = 16 * 1024 * 1024
MODEL_TIMEOUT_S: Final = 60.0
"""For a model on its way to or from other nodes."""
LISTING_TIMEOUT_S: Final = 60.0
"""For all cycle times of a project."""
STATEMENTS_BYTES: Final = 1024 * 1024
"""In one call. Each names all contributors of its round: those of 256 nodes with long names are 4.6 MiB together."""
GRACE_S: Final = 5.0
"""A call outlasts by this the time that its own request names, so that the node's refusal arrives."""

log = structlog.get_logger("weftmesh.client.learning")


class LearningApi:
    """The node's side of learning. Calls raise WeftmeshError; `timeout_s` None is `limits.CALL_TIMEOUT_S`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub: Any = learning_pb2_grpc.LearningServiceStub(calls.channel)

    def watch_duty(self) -> AsyncGenerator[learning_pb2.Duty, None]:
        """Whether this node leads learning: now, and with each change, until the call breaks."""
        return self._messages(self._stub.WatchDuty(learning_pb2.WatchDutyRequest()))

    def attend(
        self, messages: AsyncIterator[learning_pb2.LearnerMessage]
    ) -> AsyncGenerator[learning_pb2.AgentMessage, None]:
        """Be this node's learner for as long as the call lasts; ends when the node says so.

        Args:
            messages: LearnerReady, then answers.

        Raises:
            PreconditionError: another learner attends.
            NodeUnreachableError: the node is not there, or went away.
        """
        return self._messages(self._stub.Attend(messages))

    async def propose(
        self, request: learning_pb2.ProposeRequest, *, timeout_s: float | None = None
    ) -> learning_pb2.ProposeResponse:
        """One command of this node's coordinator, sent again if need be; it gets a request id when it has none."""
        copy = learning_pb2.ProposeRequest()
        copy.CopyFrom(request)
        copy.command.request_id = request.command.request_id or parse_request_id(new_request_id())
        answer: learning_pb2.ProposeResponse = await self._calls.repeated(self._stub.Propose, copy, timeout_s)
        return answer

    async def exchange(self, request: learning_pb2.ExchangeRequest) -> learning_pb2.ExchangeResponse:
        """One question to the learner of one node; sent once, and waited for as long as its own `timeout_ms` says."""
        timeout_s = request.timeout_ms / 1_000 + GRACE_S
        answer: learning_pb2.ExchangeResponse = await self._calls.once(self._stub.Exchange, request, timeout_s)
        return answer

    async def sign_statement(self, statement: bytes, *, timeout_s: float | None = None) -> bytes:
        """The signature of this node's certificate.

        Raises:
            InvalidInputError: it is no statement of learning.
        """
        request = learning_pb2.SignStatementRequest(statement=statement)
        answer: learning_pb2.SignStatementResponse = await self._calls.read(
            self._stub.SignStatement, request, timeout_s
        )
        return answer.signature

    async def check_statements(
        self, statements: Sequence[SignedStatement], *, timeout_s: float | None = None
    ) -> list[bool]:
        """Whether each was signed by the certificate of its node, in the same order.

        Raises:
            InvalidInputError: they are too many, or one is no statement of learning.
            DataCorruptionError: the node did not answer for each of them.
        """
        verdicts: list[bool] = []
        for part in _parts_of(statements):
            verdicts += await self._checked(part, timeout_s)
        return verdicts

    async def _checked(self, rows: Sequence[learning_pb2.SignedStatement], timeout_s: float | None) -> list[bool]:
        request = learning_pb2.CheckStatementsRequest(statements=rows)
        answer = await self._calls.read(self._stub.CheckStatements, request, timeout_s)
        if len(answer.verdicts) != len(rows):
            raise DataCorruptionError(
                f"{self._calls.target} judged {len(answer.verdicts)} statements of {len(rows)}; upgrade the older side"
            )
        for row, verdict in zip(rows, answer.verdicts, strict=True):
            if not verdict.genuine:
                log.warning("a statement is not believed", node=row.node, why=verdict.why)
        return [verdict.genuine for verdict in answer.verdicts]

    async def put_model(self, model: bytes, *, timeout_s: float = MODEL_TIMEOUT_S) -> learning_pb2.PutModelResponse:
        """Store a model where a majority of the voters has it.

        Raises:
            InvalidInputError: it is empty or larger than MODEL_BYTES_MAX.
            NoQuorumError: no majority took it.
        """
        if not 0 < len(model) <= MODEL_BYTES_MAX:
            raise InvalidInputError(f"a model has 1 to {MODEL_BYTES_MAX} bytes, not {len(model)}")
        try:
            answer: learning_pb2.PutModelResponse = await self._stub.PutModel(_parts(model), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self._calls.target) from error
        return answer

    async def get_model(self, digest: bytes, *, timeout_s: float = MODEL_TIMEOUT_S) -> bytes:
        """A model by its SHA-256, from this node or from one that has it.

        Raises:
            NotFoundError: no node that can be reached has it.
            DataCorruptionError: what came is not what was asked for.
        """
        request = learning_pb2.GetModelRequest(sha256=digest)
        model = bytearray()
        async for part in self._messages(self._stub.GetModel(request, timeout=timeout_s)):
            model += part.data
            if len(model) > MODEL_BYTES_MAX:
                break
        if sha256(model).digest() != digest:
            raise DataCorruptionError(
                f"{self._calls.target} sent {len(model)} bytes that are not model {digest.hex()}; ask again, and look "
                "at the disk of that node when it stays so"
            )
        return bytes(model)

    async def get_learning(
        self, request: learning_pb2.GetLearningRequest | None = None, *, timeout_s: float | None = None
    ) -> learning_pb2.Learning:
        """What this node's replica says of learning."""
        answer: learning_pb2.Learning = await self._calls.read(
            self._stub.GetLearning, request or learning_pb2.GetLearningRequest(), timeout_s
        )
        return answer

    async def list_cycle_times(
        self, project_id: str, as_of_s: float, *, timeout_s: float = LISTING_TIMEOUT_S
    ) -> list[learning_pb2.CycleTime]:
        """How long the tasks of one of this node's projects took, as of a moment in Unix seconds."""
        request = learning_pb2.ListCycleTimesRequest(project_id=project_id, as_of_s=as_of_s)
        parts = self._messages(self._stub.ListCycleTimes(request, timeout=timeout_s))
        return [task async for part in parts for task in part.tasks]

    async def await_intent(self, request: learning_pb2.AwaitIntentRequest) -> learning_pb2.AwaitIntentResponse:
        """The intent of a round, once this node's own replica holds it; at most for the request's `timeout_ms`."""
        timeout_s = request.timeout_ms / 1_000 + GRACE_S
        answer: learning_pb2.AwaitIntentResponse = await self._calls.read(self._stub.AwaitIntent, request, timeout_s)
        return answer

    async def change_learning(
        self, request: learning_pb2.ChangeLearningRequest, *, timeout_s: float | None = None
    ) -> learning_pb2.ProposeResponse:
        """A person's change, sent again if need be; it gets a request id when it has none."""
        copy = learning_pb2.ChangeLearningRequest()
        copy.CopyFrom(request)
        copy.request_id = request.request_id or new_request_id()
        answer: learning_pb2.ProposeResponse = await self._calls.repeated(self._stub.ChangeLearning, copy, timeout_s)
        return answer

    async def forecast_task(self, name: str, *, timeout_s: float | None = None) -> learning_pb2.TaskForecast:
        """When a task will be done and what it will take.

        Args:
            name: projects/{project}/tasks/{task}.
            timeout_s: see the class.
        """
        request = learning_pb2.ForecastTaskRequest(name=name)
        answer: learning_pb2.TaskForecast = await self._calls.read(self._stub.ForecastTask, request, timeout_s)
        return answer

    async def dry_run(self, job: str, *, timeout_s: float | None = None) -> learning_pb2.DryRunReport:
        """What would leave this node in a round of `job`; nothing leaves."""
        request = learning_pb2.DryRunRequest(job=job)
        answer: learning_pb2.DryRunReport = await self._calls.read(self._stub.DryRun, request, timeout_s)
        return answer

    async def _messages(self, call: Any) -> AsyncGenerator[Any, None]:
        """The messages of one call; whoever stops reading ends it."""
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self._calls.target) from error
        finally:
            call.cancel()


async def _parts(model: bytes) -> AsyncIterator[learning_pb2.ModelPart]:
    digest, size_bytes = sha256(model).digest(), len(model)
    for begin in range(0, size_bytes, PART_BYTES):
        part = learning_pb2.ModelPart(data=model[begin : begin + PART_BYTES])
        if begin == 0:
            part.sha256, part.size_bytes = digest, size_bytes
        yield part


def _parts_of(statements: Sequence[SignedStatement]) -> Iterator[list[learning_pb2.SignedStatement]]:
    """The statements in order, so many at a time as one message carries."""
    part: list[learning_pb2.SignedStatement] = []
    size_bytes = 0
    for one in statements:
        row = learning_pb2.SignedStatement(node=one.contributor, statement=one.statement, signature=one.signature)
        if part and size_bytes + row.ByteSize() > STATEMENTS_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append(row)
        size_bytes += row.ByteSize()
    if part:
        yield part
