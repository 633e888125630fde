"""Which processes of this machine may act for learning: the coordinator, the learner, and who tends them."""

from __future__ import annotations

from weftmesh.agent.serving.accounts import user_name
from weftmesh.agent.serving.callers import Caller, Callers, Context
from weftmesh.agent.serving.trusted import is_trusted
from weftmesh.core.errors import ForbiddenError


class Access:
    """Tells the node's own processes from other callers."""

    def __init__(self, callers: Callers, group: str) -> None:
        self._callers = callers
        self._group = group

    def process(self, context: Context) -> Caller:
        """The process of this machine behind a call: of root, of this daemon's user, or of its group.

        Raises:
            ForbiddenError: it is another one, or the call came over the mesh port.
        """
        process = self._callers.process(context)
        if not is_trusted(process, self._group):
            raise ForbiddenError(
                f"{user_name(process.uid)} may not act for this node's learning; processes of root and of the group "
                f"{self._group} may"
            )
        return self._callers.of(context)

    def person(self, context: Context) -> Caller:
        """Whoever changes something, on the node's own socket.

        Raises:
            ForbiddenError: the call came over the mesh port.
        """
        return self._callers.local(context)

    def member(self, context: Context) -> str:
        """The name of the member behind a call over the mesh port, by its certificate.

        Raises:
            WeftmeshError: it is no member, or no longer; or a process of this machine.
        """
        caller = self._callers.of(context)
        if not caller.node:
            raise ForbiddenError("only members of the mesh may do this, over the mesh port")
        return caller.node
