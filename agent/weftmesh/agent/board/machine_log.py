"""Writes commands of a machine beside the board into the mesh's log, one an entry: they are few, and none waits."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Generic, TypeVar

from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
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


_Outcome = TypeVar("_Outcome", bound=Outcome)


class MachineLog(Generic[_Outcome]):
    """Proposes a command until its outcome is known. Its request id makes a retry safe.

    Args:
        engine: of the mesh's log.
        machine: the name of the command's field in a MachineCommand.
        outcome: the kind of the machine's outcomes, made of a board's outcome's kind, revision and message alone.
    """

    def __init__(self, engine: RaftEngine, machine: str, outcome: type[_Outcome]) -> None:
        self._engine = engine
        self._machine = machine
        self._outcome = outcome
        self._waiting = 0

    async def write(self, command: Any, timeout_s: float) -> _Outcome:
        """Return the outcome of `command`, which was a success, when this node's replica has it.

        Args:
            command: the machine's message; carries a request id.
            timeout_s: for all tries together.

        Raises:
            WeftmeshError: the machine refused it (`reason` is one of its reasons); or too many wait, there is no
                majority, or the outcome is not known in time.
        """
        if self._waiting >= WAITING_MAX:
            raise OverloadedError(f"{WAITING_MAX} commands wait on this node already; try again in a second")
        self._waiting += 1
        try:
            outcome = await self._carry(command, asyncio.get_running_loop().time() + timeout_s)
        finally:
            self._waiting -= 1
        if not outcome.ok:
            raise error_of(outcome)
        return outcome

    async def _carry(self, command: Any, deadline: float) -> _Outcome:
        item = raft_pb2.MachineCommand(**{self._machine: command})
        entry = raft_pb2.MachineCommands(commands=[item]).SerializeToString()
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
                return self._only(applied.result)
            await asyncio.sleep(RETRY_PAUSE_S)
        if maybe_in_log:
            raise _too_late()
        raise NoQuorumError("no majority of the voters can be reached; nothing was changed. See `weftmesh members`")

    def _only(self, outcomes: list[Outcome]) -> _Outcome:
        """The outcome of the one command of an entry. What the board refused on behalf of all comes in its form."""
        (outcome,) = outcomes
        if isinstance(outcome, self._outcome):
            return outcome
        return self._outcome(outcome.kind, outcome.revision, message=outcome.message)


def _too_late() -> UnknownOutcomeError:
    return UnknownOutcomeError(
        "no majority confirmed the command in time; it may still be applied. Retry with the same request id: it is "
        "applied once at most, and the retry tells"
    )


def error_of(outcome: Outcome) -> WeftmeshError:
    """The error that a refusal is for whoever asked."""
    kind = _ERRORS.get(outcome.kind, WeftmeshError)
    metadata = {"current_version": str(outcome.current_version)} if outcome.current_version else {}
    reason = getattr(outcome, "reason", None)  # a board's outcome has none
    return kind(outcome.message, reason=str(reason) if reason else None, metadata=metadata)
