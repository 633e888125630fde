"""What a service does itself about who calls: leave out what a caller may not see, judge the writes of a stream."""

from __future__ import annotations

from typing import Any, Final

from weftmesh.agent.access.authorizing import Authorizer, Decision, Sight
from weftmesh.agent.access.journal import Journal, Note
from weftmesh.agent.serving.callers import Caller, Callers, Context
from weftmesh.core.errors import ForbiddenError, NotFoundError
from weftmesh.runtime.clock import wall_us
from weftmesh.runtime.identity.shown import certificate_of

_SERVICE: Final = "/weftmesh.board.v1.BoardService/"


class StreamedWrites:
    """Judges the writes of one stream by the same table as calls with one answer, and tells the journal of them."""

    __slots__ = ("_authorizer", "_callers", "_certificate", "_decisions", "_journal", "caller")

    def __init__(
        self, authorizer: Authorizer, callers: Callers, caller: Caller, certificate: bytes, journal: Journal
    ) -> None:
        self.caller = caller
        self._callers = callers
        self._authorizer = authorizer
        self._certificate = certificate
        self._journal = journal
        # By identity: a caller may give two writes one sequence.
        self._decisions: dict[int, Decision] = {}

    def admit(self, write: Any) -> None:
        """Return if the write may be carried out.

        Raises:
            WeftmeshError: it may not, or none may now; the journal knows.
        """
        case = write.WhichOneof("write")
        try:
            self._callers.check_member(self.caller)
            decision = self._authorizer.admit_write(self.caller, case, getattr(write, case or "", None))
        except (ForbiddenError, NotFoundError) as error:
            self._note(write, error, None)
            raise
        self._journal.check()
        self._decisions[id(write)] = decision

    def settled(self, write: Any, error: BaseException | None) -> None:
        """Note what came of a write that was admitted; of others it is noted already."""
        decision = self._decisions.pop(id(write), None)
        if decision is not None:
            self._note(write, error, decision)

    def _note(self, write: Any, error: BaseException | None, decision: Decision | None) -> None:
        case = write.WhichOneof("write") or ""
        request = getattr(write, case, None)
        if error is None and getattr(request, "validate_only", False):
            return
        method = _METHODS.get(case, _SERVICE + "Write")
        self._journal.note(Note(wall_us(), self.caller, self._certificate, method, request, None, error, decision))


_METHODS: Final = {
    case: _SERVICE + "".join(word.capitalize() for word in case.split("_"))
    for case in (
        "create_project",
        "update_project",
        "delete_project",
        "undelete_project",
        "create_task",
        "update_task",
        "claim_task",
        "revert_task",
        "delete_task",
        "undelete_task",
        "resolve_conflict",
    )
}


class Supervision:
    """For services whose methods show several projects, or carry several writes."""

    def __init__(self, authorizer: Authorizer, callers: Callers, journal: Journal) -> None:
        self._authorizer = authorizer
        self._callers = callers
        self._journal = journal

    def sight(self, context: Context) -> Sight:
        """What the caller may see, now and as it changes."""
        return self._authorizer.sight(self._callers.of(context))

    def streamed_writes(self, context: Context) -> StreamedWrites:
        """A judge of the writes of a stream."""
        caller = self._callers.of(context)
        certificate = b"" if caller.uid >= 0 else certificate_of(context)
        return StreamedWrites(self._authorizer, self._callers, caller, certificate, self._journal)
