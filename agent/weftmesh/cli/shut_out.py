"""Why a node finds no quorum though the mesh may have one: the others turn it away, as revoked or as no member."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from weftmesh.core.errors import (
    ForbiddenError,
    NoQuorumError,
    UnauthenticatedError,
    UnknownOutcomeError,
    WeftmeshError,
)
from weftmesh.mesh.v1 import mesh_pb2

if TYPE_CHECKING:
    from weftmesh.client import Client

ASK_TIMEOUT_S: Final = 2.0
"""For all members at once: somebody waits for the answer to a write."""
CERTIFICATE_REVOKED: Final = "CERTIFICATE_REVOKED"
NOT_A_MEMBER: Final = "NOT_A_MEMBER"


@dataclass(frozen=True, slots=True)
class ShutOut:
    """What another member says of this node.

    Attributes:
        node: this one.
        message: what it is, where that is seen, and what to do.
        for_good: whether it comes back only as a new node, without what is queued here.
    """

    node: str
    message: str
    for_good: bool

    def error(self, cause: WeftmeshError) -> WeftmeshError:
        """For a command that fails of it; what it wrote before stays, and what may have been applied may have been."""
        if isinstance(cause, UnknownOutcomeError):
            return UnknownOutcomeError(f"{cause}. {self.message}", reason=cause.reason, metadata=cause.metadata)
        reason = "NODE_REMOVED" if self.for_good else "NODE_REVOKED"
        return NoQuorumError(f"no quorum: {self.message}", reason=reason, metadata=cause.metadata)


async def why_shut_out(client: Client, timeout_s: float) -> ShutOut | None:
    """Have the node call the other members, which say why if they refuse it; None where too few do.

    A node that is shut out gets nothing of the log any more, so its own replica may not know.
    """
    timeout_s = min(timeout_s, ASK_TIMEOUT_S)
    try:
        own = (await client.trust.get_certificates(timeout_s=timeout_s)).own
        members = (await client.mesh.list_members(timeout_s=timeout_s)).members
    except WeftmeshError:
        return None
    others = [member for member in members if not member.self]
    refusals = await asyncio.gather(*(_refusal_by(client, one.name, timeout_s) for one in others))
    said = {one.name: error for one, error in zip(others, refusals, strict=True) if error is not None}
    for name, error in said.items():
        if error.reason == CERTIFICATE_REVOKED:
            return ShutOut(own.node, _revoked(own.node, name, error, from_files=own.from_files), for_good=False)
    # Who lags behind does not know its newest fellow yet. A node is removed by a majority of the others.
    voters = [one.name for one in others if one.role == mesh_pb2.MEMBER_ROLE_VOTER]
    denying = [name for name in voters if name in said]
    if 2 * len(denying) <= len(voters):
        return None
    return ShutOut(own.node, _removed(own.node, denying[0]), for_good=True)


async def _refusal_by(client: Client, member: str, timeout_s: float) -> WeftmeshError | None:
    try:
        await client.trust.ask_member(member, timeout_s=timeout_s)
    except (UnauthenticatedError, ForbiddenError) as error:
        return error if error.reason in (CERTIFICATE_REVOKED, NOT_A_MEMBER) else None
    except WeftmeshError:
        return None
    return None


def _revoked(node: str, by: str, error: WeftmeshError, *, from_files: bool) -> str:
    here = f"{by} turns {node} away: {error}. See `weftmesh cert show` on {by}, and docs/certificates.md"
    if not from_files:
        return here
    return f"{here}; certificates come from files here, so instead: weftmesh cert readmit --certificate FILE, on {by}"


def _removed(node: str, by: str) -> str:
    return (
        f"{node} is not a member of this mesh, or no longer: {by} says so (`weftmesh members` there) and refuses it. "
        "A node that joins waits until it is taken in. One that was removed reaches nobody any more: note what "
        "`weftmesh pending ls` shows, stop it, `weftmesh purge`, and join it anew (`weftmesh token create` where the "
        "authority is)"
    )
