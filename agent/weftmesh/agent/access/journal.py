"""What the gate tells of a call that changed something or was refused; the audit log writes it down."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from weftmesh.agent.access.authorizing import Decision
from weftmesh.agent.serving.callers import Caller


class Note(NamedTuple):
    """One call, as little as can be told at once: what it comes to in words is for whoever writes it down.

    Attributes:
        time_us: microseconds since 1970.
        caller: who.
        certificate: of a node, in PEM; empty for a local caller.
        method: as gRPC names it, or that of the same name for a write of a stream.
        request: what was asked for; not to be changed.
        response: what was answered; None for none.
        error: why it was not done; None if it was.
        decision: by what it was allowed; None if it was refused.
    """

    time_us: int
    caller: Caller
    certificate: bytes
    method: str
    request: Any
    response: Any
    error: BaseException | None
    decision: Decision | None


class Journal(Protocol):
    """Takes notes."""

    def note(self, note: Note) -> None:
        """Take one, without waiting for anything."""

    def check(self) -> None:
        """Return if what changes something may go on.

        Raises:
            PreconditionError: nothing can be written down, and this node was told to refuse changes then.
        """
