"""Writes learning commands into the mesh's log, one an entry: they are few, and none waits for the board's."""

from __future__ import annotations

import asyncio
from typing import Final

from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidInputError,
    NoQuorumError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    UnknownOutcomeError,
    WeftmeshError,
)
from weftmesh.core.learning.outcomes import LearningOutcome
from weftmesh.learning.v1.command_pb2 import LearningCommand
from weftmesh.mesh.v1 import raft_pb2

ATTEMPT_S: Final = 3.0
"""One try; a longer wait only delays the retry after a lost leader."""
RETRY_PAUSE_S: Final = 0.05
WAITING_MAX: Final = 64
"""Commands under way."""

_ERRORS: Final[dict[OutcomeKind, type[WeftmeshError]]] = {
    OutcomeKind.INVALID: InvalidInputError,
    OutcomeKind.REQUEST_REUSED: InvalidInputError,
    OutcomeKind.NOT_FOUND: NotFoundError,
    OutcomeKind.ALREADY_EXISTS: AlreadyExistsError,
    OutcomeKind.COLLISION: ConflictError,
    OutcomeKind.PRECONDITION: PreconditionError,
}


class CommandLog:
    """Proposes a command until its outcome is known. Its request id makes a retry safe."""

    def __init__(self, engine: RaftEngine) -> None:
        self._engine = engine
        self._waiting = 0

    async def write(self, command: LearningCommand, timeout_s: float) -> LearningOutcome:
        """Return the outcome of `command`, which was a success, when this node's replica has it.

        Args:
            command: carries a request id.
            timeout_s: for all tries together.

        Raises:
            WeftmeshError: the machine refused it (`reason` is of `core.learning.outcomes.Reason`); or too many wait,
                there is no majority, or the outcome is not known in time.
        """
        if self._waiting >= WAITING_MAX:
            raise OverloadedError(f"{WAITING_MAX} learning commands wait on this node already; try again in a second")
        self._waiting += 1
        try:
            outcome = await self._carry(command, asyncio.get_running_loop().time() + timeout_s)
        finally:
            self._waiting -= 1
        if not outcome.ok:
            raise error_of(outcome)
        return outcome

    async def _carry(self, command: LearningCommand, deadline: float) -> LearningOutcome:
        entry = raft_pb2.MachineCommands(commands=[raft_pb2.MachineCommand(learning=command)]).SerializeToString()
        maybe_in_log = False
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            try:
                applied = await self._engine.propose(entry, min(ATTEMPT_S, left_s))
            except UnknownOutcomeError:
                maybe_in_log = True
            except NoQuorumError:
                pass  # it entered no log this time
            except WeftmeshError as error:
                raise _too_late() if maybe_in_log else error from None
            else:
                return _only(applied.result)
            await asyncio.sleep(RETRY_PAUSE_S)
        if maybe_in_log:
            raise _too_late()
        raise NoQuorumError("no majority of the voters can be reached; nothing was changed. See `weftmesh members`")


def _too_late() -> UnknownOutcomeError:
    return UnknownOutcomeError(
        "no majority confirmed the command in time; it may still be applied. Retry with the same request id: it is "
        "applied once at most, and the retry tells"
    )


def _only(outcomes: list[LearningOutcome]) -> LearningOutcome:
    """The outcome of the one command of an entry. What the board refused on behalf of all comes in its form."""
    (outcome,) = outcomes
    if isinstance(outcome, LearningOutcome):
        return outcome
    return LearningOutcome(outcome.kind, outcome.revision, message=outcome.message)


def error_of(outcome: LearningOutcome) -> WeftmeshError:
    """The error that a refusal is for whoever asked."""
    kind = _ERRORS.get(outcome.kind, WeftmeshError)
    metadata = {"current_version": str(outcome.current_version)} if outcome.current_version else {}
    return kind(outcome.message, reason=outcome.reason.value or None, metadata=metadata)
