"""Rounds over the local node: it carries the questions, writes what is settled into the log, and checks signatures."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from weftmesh.client.learning import LearningApi
from weftmesh.coordinator.courier import quotable
from weftmesh.core.aggregation.messages import UnmaskIntent
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.aggregation.terms import ROUND_ID_BYTES, RoundTerms, threshold_for
from weftmesh.core.learning.model import AbandonCause, Job, Limits, RoundKind
from weftmesh.core.learning.sum_names import sum_name
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.command_pb2 import (
    AbandonRound,
    CommitIntent,
    Coordinator,
    FixRoster,
    LearningCommand,
    OpenRound,
)

CALL_S: Final = 15.0
"""For one call of the local node, its retries included."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Office:
    """Where a coordinator's word comes from.

    Attributes:
        learning: the local node's service; its calls are made on `loop`.
        loop: the event loop.
        node: the local node.
        term: in which it leads.
    """

    learning: LearningApi
    loop: asyncio.AbstractEventLoop
    node: str
    term: int

    @property
    def coordinator(self) -> Coordinator:
        """As commands and questions name it."""
        return Coordinator(node=self.node, term=self.term)

    async def propose(self, **command: Any) -> learning_pb2.ProposeResponse:
        """Write one command, given by its name in LearningCommand.

        Raises:
            WeftmeshError: it was refused, or its outcome is not known in time.
        """
        request = learning_pb2.ProposeRequest(command=LearningCommand(**command))
        return await self.learning.propose(request, timeout_s=CALL_S)

    async def abandon(self, job: str, round_id: bytes, why: str, cause: AbandonCause = AbandonCause.OTHER) -> None:
        """Give up a round.

        Raises:
            WeftmeshError: it was refused.
        """
        # The log refuses a longer note, or one of several lines, and a note is for people: its beginning says enough.
        short = quotable(why, Limits.NOTE_CHARACTERS)
        command = AbandonRound(job=job, coordinator=self.coordinator, round_id=round_id, why=short, cause=int(cause))
        await self.propose(abandon_round=command)

    def wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of a call, for a worker thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


class MeshRounds:
    """One sum over one base version: implements `aggregated_round.RoundLog` and `courier.Exchange`.

    Args:
        office: the coordinator's.
        job: whose sum it is.
        kind: what is summed.
        base_version: what the contributors start from.
        as_of_s: the moment as of which they read their tasks, Unix seconds.
        rng: `secrets.SystemRandom()` in production.

    Attributes:
        next_id: of the round that `open` opens.
        round_id: of the round that was opened; empty before.
    """

    def __init__(
        self, office: Office, job: Job, kind: RoundKind, base_version: int, as_of_s: int, rng: random.Random
    ) -> None:
        self._office = office
        self._job = job
        self._kind = kind
        self._base_version = base_version
        self._as_of_s = as_of_s
        self.next_id = rng.randbytes(ROUND_ID_BYTES)
        self.round_id = b""

    def open(self, kind: str, contributors: tuple[str, ...], vector_length: int) -> RoundTerms:  # noqa: ARG002, known
        """See RoundLog."""
        round_id = self.next_id
        opened = OpenRound(
            job=self._job.name,
            coordinator=self._office.coordinator,
            round_id=round_id,
            kind=int(self._kind),
            base_version=self._base_version,
            contributors=contributors,
            as_of_s=self._as_of_s,
        )
        self.round_id = round_id
        self._office.wait(self._office.propose(open_round=opened))
        count = len(contributors)
        return RoundTerms(
            round_id,
            sum_name(self._job.name, self._kind),
            self._base_version,
            self._office.term,
            contributors,
            max(threshold_for(count), self._job.threshold(count)),
            self._job.contributors_floor,
            vector_length,
        )

    def commit(self, intent: UnmaskIntent) -> None:
        """See RoundLog."""
        self._office.wait(self._commit(intent))

    def verify(self, statements: Sequence[SignedStatement]) -> Sequence[bool]:
        """Whether each was signed by the certificate of its contributor; called on a worker thread."""
        return self._office.wait(self._office.learning.check_statements(statements))

    async def deliver(self, node: str, payload: bytes, timeout_s: float) -> bytes:
        """See Exchange."""
        request = learning_pb2.ExchangeRequest(
            node=node,
            job=self._job.name,
            round_id=self.round_id,
            coordinator=self._office.coordinator,
            payload=payload,
            timeout_ms=max(round(timeout_s * 1_000), 1),
        )
        return (await self._office.learning.exchange(request)).payload

    async def _commit(self, intent: UnmaskIntent) -> None:
        roster = FixRoster(
            job=self._job.name,
            coordinator=self._office.coordinator,
            round_id=intent.round_id,
            contributors=sorted(intent.active + intent.dead),
            roster_sha256=intent.roster_hash,
        )
        await self._office.propose(fix_roster=roster)
        settled = CommitIntent(
            job=self._job.name,
            coordinator=self._office.coordinator,
            round_id=intent.round_id,
            base_version=intent.base_version,
            roster_sha256=intent.roster_hash,
            active=intent.active,
            dead=intent.dead,
        )
        await self._office.propose(commit_intent=settled)
