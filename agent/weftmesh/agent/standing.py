"""Who is a member of the mesh, and who may speak Raft to this node: asked for every call and every batch of a peer."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.agent.recovery_service import Abandoned
from weftmesh.agent.removed import Removed
from weftmesh.runtime.identity.authority import CLOCK_SKEW
from weftmesh.runtime.identity.shown import shown_by

REMOVED_GRACE_S: Final = 15.0
"""A leader that was removed has to tell the others that this is committed."""
CLOCKS_APART_S: Final = 2.0
"""By how much the clocks of this node and of the authority may differ when it is asked what came first."""


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
        gone, now_s = self._members - names, asyncio.get_running_loop().time()
        self._removed_at_s |= dict.fromkeys(gone, now_s)
        self._removed.note(gone, names, time.time())
        for name in names:
            self._removed_at_s.pop(name, None)
        self._members = names

    def is_member(self, node: str) -> bool:
        """Whether a node belongs to the mesh."""
        return node in self._members

    def may_stream(self, node: str, certificate_pem: bytes) -> bool:
        """Whether a node with a certificate of this cluster may speak Raft to this one.

        A node may lead that joined while this one was away, so names that are not known here are let in; what they say
        counts only as far as the log gives them a vote. A node that was seen to be removed is turned away once it has
        had time to announce its own removal, and after a start at once, unless its certificate was issued since: it
        may have joined again, and lead, while this one was away. One that was given up when the quorum was recovered
        is turned away at once and for ever.
        """
        if self.is_member(node):
            return True
        if node in self._abandoned:
            return False
        seen_s = self._removed.seen_s(node)
        if seen_s is None or issued_s(certificate_pem) > seen_s - CLOCKS_APART_S:
            return True
        removed_at_s = self._removed_at_s.get(node)
        return removed_at_s is not None and asyncio.get_running_loop().time() - removed_at_s < REMOVED_GRACE_S


def issued_s(certificate_pem: bytes) -> float:
    """When our authority issued a certificate, in seconds since 1970; it holds from CLOCK_SKEW before that."""
    return (shown_by(certificate_pem).not_before + CLOCK_SKEW).timestamp()
