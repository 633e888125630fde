"""Which coordinator this node listens to: the leader of the present term, and nobody who calls itself so."""

from __future__ import annotations

from typing import Final

from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.learning.signal import until
from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.core.errors import ForbiddenError, NotFoundError, PreconditionError, WeftmeshError
from weftmesh.core.learning.outcomes import Reason
from weftmesh.learning.v1.command_pb2 import Coordinator

CATCH_UP_S: Final = 1.0
"""For this node to hear of a term, a leader or a job that the coordinator knows already."""
WRONG_COORDINATOR: Final = "WRONG_COORDINATOR"
NOT_KNOWN_YET: Final = "NOT_KNOWN_YET"


class Heeding:
    """Judges coordinators by this node's own replica; terms only rise there, over restarts too (Raft's hard state)."""

    def __init__(self, node: str, replica: Replica, catch_up_s: float = CATCH_UP_S) -> None:
        self._node = node
        self._replica = replica
        self._catch_up_s = catch_up_s

    async def check(self, coordinator: Coordinator, asker: str) -> None:
        """Return if `asker` is the coordinator that it names, and leads in that term.

        Args:
            coordinator: as the request names it.
            asker: the node that asks, by its certificate; this node for its own coordinator.

        Raises:
            ForbiddenError: the coordinator is another node than the one that asks.
            PreconditionError: its term is over, it does not lead, or this node has not heard of its term.
        """
        if coordinator.node != asker:
            raise ForbiddenError(
                f"{asker} asks for the coordinator {coordinator.node or '(none)'}; a node speaks for itself alone",
                reason=WRONG_COORDINATOR,
            )
        refusal = self._refusal(coordinator)
        if refusal is None:
            return
        await until(
            lambda: _leader_known(self._replica.status, coordinator.term), self._replica.moved, self._catch_up_s
        )
        refusal = self._refusal(coordinator)
        if refusal is not None:
            raise refusal

    def _refusal(self, coordinator: Coordinator) -> WeftmeshError | None:
        status = self._replica.status
        if coordinator.term < status.term:
            return PreconditionError(
                f"term {coordinator.term} is over, {self._node} is in term {status.term}; stand down, and drop what "
                "was collected",
                reason=Reason.STALE_TERM.value,
            )
        if not _leader_known(status, coordinator.term):
            return PreconditionError(
                f"{self._node} has not heard who leads in term {coordinator.term}, it is in term {status.term}; try "
                "again in a second",
                reason=NOT_KNOWN_YET,
            )
        if status.leader != coordinator.node:
            return ForbiddenError(
                f"{status.leader} leads in term {status.term}, not {coordinator.node}; stand down",
                reason=WRONG_COORDINATOR,
            )
        return None


def _leader_known(status: RaftStatus, term: int) -> bool:
    return status.term > term or (status.term == term and bool(status.leader))


class Participation:
    """Whether this node takes part in a job: it is there, it is on, and the owner does not keep this node out."""

    def __init__(self, node: str, replica: Replica, catch_up_s: float = CATCH_UP_S) -> None:
        self._node = node
        self._replica = replica
        self._catch_up_s = catch_up_s

    async def check(self, job: str) -> None:
        """Return if this node takes part in `job`.

        Raises:
            NotFoundError: there is no such job.
            PreconditionError: it is disabled, or this node's owner opted out.
        """
        await until(lambda: self._replica.learning.job(job) is not None, self._replica.moved, self._catch_up_s)
        learning = self._replica.learning
        known = learning.job(job)
        if known is None:
            raise NotFoundError(
                f"{self._node} knows no job {job[:80]!r}; define it first", reason=Reason.NO_SUCH_JOB.value
            )
        if learning.is_opted_out(self._node, job):
            raise PreconditionError(
                f"the owner of {self._node} keeps it out of job {job}; go on without it", reason=Reason.OPTED_OUT.value
            )
        if not known.enabled:
            raise PreconditionError(f"job {job} is disabled; enable it first", reason=Reason.JOB_DISABLED.value)
