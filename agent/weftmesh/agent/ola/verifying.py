"""Whether nodes signed what is recorded of them: checked by each replica for its own readers, since no machine holds
certificates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from weftmesh.agent.ola.replica import Replica
from weftmesh.core.errors import NodeUnreachableError, WeftmeshError
from weftmesh.core.ola.replicated.rows import Confirmation, NodeWindow
from weftmesh.core.ola.replicated.statement import window_statement
from weftmesh.ola.v1 import ola_pb2
from weftmesh.runtime.identity.certificates import PublicKey

AGAIN_S: Final = 30.0
"""A node that did not show its certificate is asked again so much later."""
_Place = tuple[str, int]
_Said = tuple[Confirmation, NodeWindow]


class Keys(Protocol):
    """The keys of members' certificates; `agent.learning.member_keys.MemberKeys` is one."""

    async def key_of(self, node: str) -> PublicKey:
        """See MemberKeys."""

    async def fresh_key_of(self, node: str) -> PublicKey:
        """See MemberKeys."""


class WindowVerifier:
    """Checks confirmations, each once while its window is shown.

    Args:
        cluster: the mesh.
        replica: has windows and confirmations.
        keys: of members.
        again_s: see AGAIN_S.
    """

    def __init__(self, cluster: str, replica: Replica, keys: Keys, again_s: float = AGAIN_S) -> None:
        self._cluster = cluster
        self._replica = replica
        self._keys = keys
        self._again_s = again_s
        self._known: dict[_Place, tuple[_Said, bool]] = {}
        self._failed: dict[str, tuple[float, WeftmeshError]] = {}
        """Until when nodes are not asked again, and why."""

    async def check(self, name: str, timeout_s: float) -> list[ola_pb2.SignatureCheck]:
        """A verdict for each confirmation of the last hour that has to do with an agreement.

        Args:
            name: of the agreement.
            timeout_s: for members that are asked for their certificates.
        """
        read = self._replica.agreements.read
        windows = {(one.node, one.starts_s): one for one in read.windows()}
        said = {(one.node, one.starts_s): one for one in read.confirmations()}
        self._known = {place: known for place, known in self._known.items() if place in said}
        wanted = [one for one in said.values() if any(agreed.name == name for agreed in one.agreements)]
        pairs = [(one, window) for one in wanted if (window := windows.get((one.node, one.starts_s))) is not None]
        until_s = asyncio.get_running_loop().time() + timeout_s
        keys = await self._keys_of({one.node for one, window in pairs if not self._is_known((one, window))}, until_s)
        return [await self._verdict(pair, keys, until_s) for pair in pairs]

    def _is_known(self, said: _Said) -> bool:
        known = self._known.get(_place(said))
        return known is not None and known[0] == said

    async def _keys_of(self, nodes: Iterable[str], until_s: float) -> Mapping[str, PublicKey | WeftmeshError]:
        """All at once: one slow member costs no more than all of them."""
        names = sorted(nodes)
        found = await asyncio.gather(*(self._key(one, until_s, self._keys.key_of) for one in names))
        return dict(zip(names, found, strict=True))

    async def _key(
        self, node: str, until_s: float, ask: Callable[[str], Awaitable[PublicKey]]
    ) -> PublicKey | WeftmeshError:
        now_s = asyncio.get_running_loop().time()
        self._failed = {name: failed for name, failed in self._failed.items() if failed[0] > now_s}
        if node in self._failed:
            return self._failed[node][1]
        try:
            async with asyncio.timeout_at(until_s):
                return await ask(node)
        except TimeoutError:
            why: WeftmeshError = NodeUnreachableError(f"{node} does not show its certificate in time")
        except WeftmeshError as error:
            why = error
        self._failed[node] = (now_s + self._again_s, why)
        return why

    async def _verdict(
        self, said: _Said, keys: Mapping[str, PublicKey | WeftmeshError], until_s: float
    ) -> ola_pb2.SignatureCheck:
        node = said[0].node
        if not self._is_known(said):
            await asyncio.sleep(0)  # the board does not wait for many nodes' windows
            key = keys.get(node) or await self._key(node, until_s, self._keys.key_of)
            genuine = _signed(key, said, self._cluster)
            if genuine is False:
                # A member that was set up anew has another key than the one remembered.
                key = await self._key(node, until_s, self._keys.fresh_key_of)
                genuine = _signed(key, said, self._cluster)
            if genuine is None:
                return _check(said, ola_pb2.SIGNATURE_VERDICT_UNKNOWN, str(key))
            self._known[_place(said)] = (said, genuine)
        if self._known[_place(said)][1]:
            return _check(said, ola_pb2.SIGNATURE_VERDICT_GENUINE)
        return _check(said, ola_pb2.SIGNATURE_VERDICT_WRONG, f"{node} did not sign what is recorded of it")


def _signed(key: PublicKey | WeftmeshError, said: _Said, cluster: str) -> bool | None:
    """None where there is no key to tell by."""
    if isinstance(key, WeftmeshError):
        return None
    confirmation, window = said
    statement = window_statement(cluster, window.node, window.starts_s, confirmation.agreements, window.counts)
    try:
        key.verify(confirmation.signature, statement, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _place(said: _Said) -> _Place:
    return said[0].node, said[0].starts_s


def _check(said: _Said, verdict: ola_pb2.SignatureVerdict, why: str = "") -> ola_pb2.SignatureCheck:
    node, starts_s = _place(said)
    return ola_pb2.SignatureCheck(node=node, starts_s=starts_s, verdict=verdict, why=why)
