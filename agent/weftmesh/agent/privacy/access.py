"""Which processes of this machine may write into the egress ledger."""

from __future__ import annotations

from weftmesh.agent.serving.accounts import user_name
from weftmesh.agent.serving.local_socket import LocalCaller
from weftmesh.agent.serving.trusted import is_trusted
from weftmesh.core.errors import ForbiddenError


def check_recorder(process: LocalCaller, group: str) -> None:
    """Return if `process` belongs to root, to this daemon's user, or to a member of `group`.

    Raises:
        ForbiddenError: it does not.
    """
    if is_trusted(process, group):
        return
    raise ForbiddenError(
        f"{user_name(process.uid)} may not write into this node's egress ledger; processes of root and of the group "
        f"{group} may"
    )
