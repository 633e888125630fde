"""First answers of a machine beside the board: a retry, after a failover too, is answered and not applied again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from weftmesh.core.board.commands import Header
from weftmesh.core.board.hashing import HASH_BYTES
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.board.requests import RequestMemory
from weftmesh.core.board.state import RememberedRequest
from weftmesh.core.records import record

OutcomeT = TypeVar("OutcomeT", bound=Outcome)


@record(frozen=True, slots=True)
class AnsweredRequest(Generic[OutcomeT]):
    """The first answer to a request id, as snapshots have it."""

    request_id: bytes
    digest: int
    outcome: OutcomeT
    order: int
    """The revision when it was answered."""


class FirstAnswers(Generic[OutcomeT]):
    """A `RequestMemory` whose outcomes are of one kind.

    Args:
        kind: of the machine's outcomes.
        reused: makes the outcome of a request id that came with another request, from the revision and a message.

    Attributes:
        hash_sum: of what is remembered; weighs in the machine's state hash.
    """

    def __init__(self, kind: type[OutcomeT], reused: Callable[[int, str], OutcomeT]) -> None:
        self._memory = RequestMemory()
        self._kind = kind
        self._reused = reused
        self.hash_sum = 0

    def __iter__(self) -> Iterator[RememberedRequest]:
        return iter(self._memory)

    def first(self, header: Header, revision: int) -> OutcomeT | None:
        """What was answered to a command's request id; None for one that is new."""
        known = self._memory.get(header.request_id)
        if known is None:
            return None
        if known.digest == header.request_digest:
            return self._outcome_of(known)
        return self._reused(
            revision, f"request id {header.request_id.hex()} was used for another request; send a new one"
        )

    def remember(self, header: Header, outcome: OutcomeT, revision: int) -> None:
        """Keep the first answer to a command that has a request id, and forget what is old at `revision`."""
        if len(header.request_id) == HASH_BYTES:
            self._keep(header.request_id, header.request_digest, outcome, outcome.revision)
        self.hash_sum -= self._memory.forget_old(revision)

    def freeze(self) -> tuple[AnsweredRequest[OutcomeT], ...]:
        """Everything that is remembered, the oldest first."""
        return tuple(
            AnsweredRequest(one.request_id, one.digest, self._outcome_of(one), one.order) for one in self._memory
        )

    def thaw(self, answered: Iterable[AnsweredRequest[OutcomeT]]) -> None:
        """Remember what another one had."""
        for one in answered:
            self._keep(one.request_id, one.digest, one.outcome, one.order)

    def _keep(self, request_id: bytes, digest: int, outcome: OutcomeT, order: int) -> None:
        self.hash_sum += self._memory.remember(request_id, digest, outcome, order)

    def _outcome_of(self, known: RememberedRequest) -> OutcomeT:
        """The outcome of one that is remembered.

        Raises:
            TypeError: it is not of this machine, which put all of them there.
        """
        if not isinstance(known.outcome, self._kind):
            raise TypeError(f"{type(known.outcome).__name__} is no {self._kind.__name__}")
        return known.outcome
