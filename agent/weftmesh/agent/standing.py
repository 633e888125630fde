"""Who is a member of the mesh, and who may speak Raft to this node: asked for every call and every batch of a peer."""

from __future__ import annotations

import asyncio
from typing import Final

from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.agent.recovery_service import Abandoned
from weftmesh.agent.removed import Removed

REMOVED_GRACE_S: Final = 15.0
"""A leader that was removed has to tell the others that this is committed."""


class Standing:
    """Follows the membership.

    Args:
        abandoned: voters that were given up when the quorum was recovered.
        removed: members that went, also before this process.
    """

    def __init__(self, abandoned: Abandoned, removed: Removed) -> None:
        self._abandoned = abandoned
        self._removed = removed
        self._members: frozenset[str] = frozenset()
        self._removed_at_s: dict[str, float] = {}

    def note(self, status: RaftStatus) -> None:
        """Take in who is a member now."""
        names = frozenset((*status.voters, *status.observers))
        now_s = asyncio.get_running_loop().time()
        self._removed_at_s |= dict.fromkeys(self._members - names, now_s)
        self._removed.note(self._members - names, names)
        for name in names:
            self._removed_at_s.pop(name, None)
        self._members = names

    def is_member(self, node: str) -> bool:
        """Whether a node belongs to the mesh."""
        return node in self._members

    def may_stream(self, node: str) -> bool:
        """Whether a node with a certificate of this cluster may speak Raft to this one.

        A node may lead that joined while this one was away, so names that are not known here are let in; what they say
        counts only as far as the log gives them a vote. A node that was seen to be removed is turned away once it has
        had time to announce its own removal, and after a start at once; one that was given up when the quorum was
        recovered, at once and for ever.
        """
        if node in self._abandoned and not self.is_member(node):
            return False
        removed_at_s = self._removed_at_s.get(node)
        if removed_at_s is None:
            return node not in self._removed or self.is_member(node)
        return asyncio.get_running_loop().time() - removed_at_s < REMOVED_GRACE_S
