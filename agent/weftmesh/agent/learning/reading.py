"""Shows what this node's own replica says of learning, and waits for an unmask intent on it."""

from __future__ import annotations

from typing import Final

from weftmesh.agent.learning.replica import Replica, members_of
from weftmesh.agent.learning.signal import until
from weftmesh.agent.learning.training_projects import TrainingProjects
from weftmesh.agent.serving.requests import Call
from weftmesh.core.errors import InvalidInputError, OutOfRangeError, OverloadedError
from weftmesh.core.learning.model import RoundKind, RoundStage, UnmaskIntent
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.wire.learning_views import base_view, intent_view, learning_view

LIMIT_DEFAULT: Final = 20
LIMIT_MAX: Final = 1_000
WAITERS_MAX: Final = 256
"""Calls that wait for the replica."""


class Reading:
    """Answers from this node's replica alone: what another one says proves nothing to a contributor."""

    def __init__(self, node: str, replica: Replica, projects: TrainingProjects) -> None:
        self._node = node
        self._replica = replica
        self._projects = projects

    async def learning(self, request: learning_pb2.GetLearningRequest, call: Call) -> learning_pb2.Learning:
        """Everything, or everything of one job.

        Raises:
            OutOfRangeError: the replica did not get as far as `min_revision` in time.
            OverloadedError: too many wait.
        """
        if request.min_revision > self._replica.learning.revision:
            await self._reach(request.min_revision, call)
        if request.HasField("base_version"):
            view = await self._of_base(request, call)
        else:
            limit = min(request.limit, LIMIT_MAX) if request.limit else LIMIT_DEFAULT
            view = learning_view(self._replica.learning, request.job, limit)
            view.contributors.extend(self.contributors(request.job))
        view.term = self._replica.status.term
        view.trained_projects.extend(self._projects.ids(request.job))
        return view

    async def intent(self, request: learning_pb2.AwaitIntentRequest, call: Call) -> learning_pb2.AwaitIntentResponse:
        """The intent of a round once it is here; absent when there will be none, or the time is up.

        Raises:
            InvalidInputError: `round_kind` is none.
            OverloadedError: too many wait.
        """
        kind = _round_kind(request.round_kind)
        found: list[UnmaskIntent | None] = []

        def settled() -> bool:
            learning = self._replica.learning
            intent = learning.intent(request.job, kind, request.base_version)
            round_ = learning.round(request.round_id)
            given_up = round_ is not None and round_.stage is RoundStage.ABANDONED
            if given_up or (intent is not None and intent.round_id != request.round_id):
                found.append(None)
            elif intent is not None:
                found.append(intent)
            return bool(found)

        self._check_room()
        await until(settled, self._replica.moved, min(request.timeout_ms / 1000, call.remaining_s))
        response = learning_pb2.AwaitIntentResponse()
        if found and found[0] is not None:
            response.intent.CopyFrom(intent_view(found[0]))
        return response

    async def _of_base(self, request: learning_pb2.GetLearningRequest, call: Call) -> learning_pb2.Learning:
        def is_known() -> bool:
            learning = self._replica.learning
            job = learning.job(request.job)
            is_under_way = not request.round_id or (job is not None and job.round_id == request.round_id)
            return is_under_way and learning.version(request.job, request.base_version) is not None

        if request.wait_ms and not is_known():
            self._check_room()
            await until(is_known, self._replica.moved, min(request.wait_ms / 1000, call.remaining_s))
        return base_view(self._replica.learning, request.job, request.base_version)

    async def _reach(self, revision: int, call: Call) -> None:
        self._check_room()
        reached = await until(
            lambda: self._replica.learning.revision >= revision, self._replica.moved, call.remaining_s
        )
        if not reached:
            raise OutOfRangeError(
                f"revision {revision} of learning was not reached in time; this node is at "
                f"{self._replica.learning.revision}",
                reason="REVISION_NOT_REACHED",
            )

    def _check_room(self) -> None:
        if self._replica.waiters >= WAITERS_MAX:
            raise OverloadedError(f"{WAITERS_MAX} calls wait for this node's replica already; try again in a second")

    def contributors(self, job: str) -> list[str]:
        """Members that may be asked: connected as this node sees it, and not opted out."""
        status, learning = self._replica.status, self._replica.learning
        connected = {self._node, *(one.name for one in status.peers if one.connected)}
        return sorted(name for name in members_of(status) if name in connected and not learning.is_opted_out(name, job))


def _round_kind(number: int) -> RoundKind:
    try:
        return RoundKind(number)
    except ValueError:
        known = ", ".join(f"{one.value} ({one.name.lower()})" for one in RoundKind)
        raise InvalidInputError(f"round_kind: {number} is none; send one of {known}") from None
