"""The keys that members sign with, by the certificates that they show; remembered while those are in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from weftmesh.agent.learning.peers import Peers
from weftmesh.agent.learning.replica import Replica, members_of
from weftmesh.core.errors import ForbiddenError
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.identity.certificates import PublicKey, utc_now
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.member_certificate import MemberKey, member_key

FETCH_TIMEOUT_S: Final = 5.0


class MemberKeys:
    """Fetches and checks members' certificates."""

    def __init__(
        self, identity: NodeIdentity, replica: Replica, peers: Peers, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._identity = identity
        self._replica = replica
        self._peers = peers
        self._now = now
        self._known: dict[str, MemberKey] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    async def key_of(self, node: str) -> PublicKey:
        """The key of a member.

        Raises:
            ForbiddenError: it is no member, or no longer.
            InvalidInputError: what it shows is not its certificate; see `member_key`.
            WeftmeshError: it does not answer.
        """
        members = members_of(self._replica.status)
        if node not in members:
            raise ForbiddenError(f"{node[:80]!r} is not a member of this mesh, or no longer", reason="NOT_A_MEMBER")
        for gone in self._known.keys() - members.keys():  # one that joins again under its name has another key
            del self._known[gone]
        known = self._known.get(node)
        if known is None or not known.in_force(self._now()):
            known = await self._fetch_once(node)
        return known.public_key

    async def fresh_key_of(self, node: str) -> PublicKey:
        """As `key_of`, by the certificate that the member shows now."""
        self._known.pop(node, None)
        return await self.key_of(node)

    async def _fetch_once(self, node: str) -> MemberKey:
        """Ask one time for all who want to know."""
        lock = self._fetching.setdefault(node, asyncio.Lock())
        try:
            async with lock:
                known = self._known.get(node)
                if known is None or not known.in_force(self._now()):
                    known = self._known[node] = await self._fetch(node)
                return known
        finally:
            if not lock.locked():
                self._fetching.pop(node, None)

    async def _fetch(self, node: str) -> MemberKey:
        material = self._identity.material
        if node == material.node:
            return member_key(material.certificate_pem, node, material, self._now())
        async with self._peers.stub(node) as stub:
            shown = await stub.ShowCertificate(learning_pb2.ShowCertificateRequest(), timeout=FETCH_TIMEOUT_S)
        return member_key(shown.chain, node, material, self._now())
