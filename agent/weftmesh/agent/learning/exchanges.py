"""Carries the coordinator's questions to learners, and their answers back; what leaves is recorded first."""

from __future__ import annotations

from typing import Final

from weftmesh.agent.learning.attendance import START_S, Attendance
from weftmesh.agent.learning.egress import LearningEgress
from weftmesh.agent.learning.heeding import Heeding, Participation
from weftmesh.agent.learning.peers import Peers
from weftmesh.agent.learning.questions import LEARNER_REFUSED
from weftmesh.agent.learning.replica import Replica
from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.learning.v1 import learning_pb2

PAYLOAD_BYTES_MAX: Final = 3 * 1024 * 1024
"""Of a question or an answer; it fits into a message of the local socket as that is configured by default."""
TIMEOUT_MAX_S: Final = 120.0
ROUND_ID_BYTES: Final = 16
TRAVEL_S: Final = 2.0
"""For the connection, the ledgers of two nodes, and this node to hear what the coordinator knows already."""


class Exchanges:
    """One question, one answer.

    Args:
        node: this node.
        heeding: which coordinators are listened to.
        participation: in which jobs this node takes part.
        attendance: this node's learner.
        egress: records what leaves.
        peers: the other members.
        replica: knows what a round is about.
    """

    def __init__(
        self,
        node: str,
        heeding: Heeding,
        participation: Participation,
        attendance: Attendance,
        egress: LearningEgress,
        peers: Peers,
        replica: Replica,
    ) -> None:
        self._node = node
        self._heeding = heeding
        self._participation = participation
        self._attendance = attendance
        self._egress = egress
        self._peers = peers
        self._replica = replica

    async def carry(self, request: learning_pb2.ExchangeRequest, remaining_s: float) -> learning_pb2.ExchangeResponse:
        """Bring a question of this node's coordinator to the learner of the node that it names.

        Raises:
            WeftmeshError: this node does not lead in that term, the question could not be recorded, or there is no
                answer; see `answer`.
        """
        timeout_s = _check(request)
        if request.node == self._node:
            return await self.answer(request, self._node)
        await self._heeding.check(request.coordinator, self._node)
        async with self._peers.stub(request.node) as stub:
            await self._egress.record(request.node, request.payload, self._why(request, "question"))
            allowed_s = min(timeout_s + START_S + TRAVEL_S, remaining_s)
            response: learning_pb2.ExchangeResponse = await stub.Exchange(request, timeout=allowed_s)
        return response

    async def answer(self, request: learning_pb2.ExchangeRequest, asker: str) -> learning_pb2.ExchangeResponse:
        """Ask this node's learner for the coordinator on the node `asker`.

        Raises:
            WeftmeshError: the coordinator is not the one to listen to, this node takes no part in the job, there is no
                learner or it has no answer, or the answer could not be recorded.
        """
        timeout_s = _check(request)
        if request.node != self._node:
            raise InvalidInputError(f"the question is for {request.node or 'nobody'}, and this is {self._node}")
        await self._heeding.check(request.coordinator, asker)
        await self._participation.check(request.job)
        payload = await self._ask(request, asker, timeout_s)
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise _too_large("answer", payload)
        if asker != self._node:
            await self._egress.record(asker, payload, self._why(request, "answer"))
        return learning_pb2.ExchangeResponse(payload=payload)

    async def _ask(self, request: learning_pb2.ExchangeRequest, asker: str, timeout_s: float) -> bytes:
        try:
            return await self._attendance.ask(request, timeout_s)
        except PreconditionError as refusal:
            # The learner's own words leave this node as an answer would.
            if refusal.reason == LEARNER_REFUSED and asker != self._node:
                await self._egress.record(asker, str(refusal).encode(), self._why(request, "refusal"))
            raise

    def _why(self, request: learning_pb2.ExchangeRequest, what: str) -> str:
        found = self._replica.learning.round(request.round_id)
        kind = "unknown kind" if found is None else found.kind.name.lower()
        return f"{request.job[:80]}: {what} of round {request.round_id.hex()[:32]} ({kind})"


def _check(request: learning_pb2.ExchangeRequest) -> float:
    """The bounded time of a question that is well formed, in seconds."""
    if len(request.round_id) != ROUND_ID_BYTES:
        raise InvalidInputError(f"round_id has {len(request.round_id)} bytes; send {ROUND_ID_BYTES}")
    if len(request.payload) > PAYLOAD_BYTES_MAX:
        raise _too_large("question", request.payload)
    if not 0 < request.timeout_ms <= TIMEOUT_MAX_S * 1000:
        raise InvalidInputError(f"timeout_ms is {request.timeout_ms}; send 1 to {TIMEOUT_MAX_S * 1000:g}")
    return request.timeout_ms / 1000


def _too_large(what: str, payload: bytes) -> InvalidInputError:
    return InvalidInputError(
        f"the {what} has {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX} travel; move a model by its sha256",
        reason="PAYLOAD_TOO_LARGE",
    )
