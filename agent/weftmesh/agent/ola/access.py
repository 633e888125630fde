"""Who may do what about agreements."""

from __future__ import annotations

from weftmesh.agent.serving.accounts import user_name
from weftmesh.agent.serving.callers import Caller, Callers, Context
from weftmesh.agent.serving.trusted import is_trusted
from weftmesh.core.errors import ForbiddenError


class Access:
    """Tells readers, people and the node's own processes apart.

    Args:
        callers: tells who calls.
        group: whose processes count as the node's own.
    """

    def __init__(self, callers: Callers, group: str) -> None:
        self._callers = callers
        self._group = group

    def reader(self, context: Context) -> Caller:
        """Whoever is on this machine, and members.

        Raises:
            WeftmeshError: it is neither.
        """
        return self._callers.of(context)

    def person(self, context: Context) -> Caller:
        """Whoever changes something, on the node's own socket.

        Raises:
            ForbiddenError: the call came over the mesh port.
        """
        return self._callers.local(context)

    def process(self, context: Context) -> Caller:
        """The node's own process, which speaks for the node: of root, of this daemon's user, or of its group.

        Raises:
            ForbiddenError: it is another one, or the call came over the mesh port.
        """
        process = self._callers.process(context)
        if not is_trusted(process, self._group):
            raise ForbiddenError(
                f"{user_name(process.uid)} may not count for this node; processes of root and of the group "
                f"{self._group} may"
            )
        return self._callers.of(context)
