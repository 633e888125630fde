"""Asks members which certificates they show: the log knows of none before the first command about trust."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc

from weftmesh.core.errors import WeftmeshError
from weftmesh.core.trust.quorum import Shows
from weftmesh.mesh.v1 import trust_pb2, trust_pb2_grpc
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.rpc import from_rpc_error

ASK_S: Final = 5.0
"""For one member to answer, as long as a connection may take to come about; whoever takes longer counts as silent."""
ASKED_AT_ONCE: Final = 16


class RollCall:
    """Calls members by their certificates.

    Args:
        identity: this node's; its own certificate needs no call.
        dial: opens a channel to a member, by name and host:port.
    """

    def __init__(self, identity: NodeIdentity, dial: Callable[[str, str], grpc.aio.Channel]) -> None:
        self._identity = identity
        self._dial = dial

    async def ask(self, node: str, address: str, timeout_s: float) -> trust_pb2.CertificatesView:
        """What one member knows of certificates.

        Raises:
            WeftmeshError: it does not say.
        """
        async with self._dial(node, address) as channel:
            stub: Any = trust_pb2_grpc.TrustServiceStub(channel)
            try:
                view: trust_pb2.CertificatesView = await stub.GetCertificates(
                    trust_pb2.GetCertificatesRequest(), timeout=timeout_s
                )
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error
        return view

    async def has_authority(self, node: str, address: str, timeout_s: float = ASK_S) -> bool:
        """Whether one member says that it signs certificates; one that is silent does not."""
        try:
            return (await self.ask(node, address, timeout_s)).has_authority
        except WeftmeshError:
            return False

    async def shown(self, members: Mapping[str, str], timeout_s: float = ASK_S) -> dict[str, Shows]:
        """What each of these shows now, this node among them; who is silent is left out.

        Args:
            members: name to host:port.
            timeout_s: for each.
        """
        free = asyncio.Semaphore(ASKED_AT_ONCE)

        async def one(name: str, address: str) -> tuple[str, Shows] | None:
            if name == self._identity.node:
                return name, Shows(self._identity.material.serial, self._identity.material.key_sha256)
            async with free:
                try:
                    own = (await self.ask(name, address, timeout_s)).own
                except WeftmeshError:
                    return None
            return name, Shows(own.serial, own.key_sha256)

        found = await asyncio.gather(*(one(name, address) for name, address in members.items()))
        return dict(each for each in found if each is not None)
