"""The node as what counts are handed to, while it is connected."""

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.client import Client
from weftmesh.core.errors import NodeUnreachableError
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.router.following.following import Following


class NodeRecords:
    """Passes windows on to the node; implements `windows.Records`.

    Args:
        following: has the connection.
    """

    def __init__(self, following: Following) -> None:
        self._following = following

    async def record_window(
        self, starts_s: int, counts: Iterable[command_pb2.ObjectiveCount], *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        """See OlaApi.

        Raises:
            NodeUnreachableError: it is not connected.
        """
        return await self._client().ola.record_window(starts_s, counts, timeout_s=timeout_s)

    async def confirm_window(
        self, starts_s: int, agreements: Iterable[command_pb2.ConfirmedAgreement], *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        """See OlaApi.

        Raises:
            NodeUnreachableError: it is not connected.
        """
        return await self._client().ola.confirm_window(starts_s, agreements, timeout_s=timeout_s)

    def _client(self) -> Client:
        if self._following.client is None:
            raise NodeUnreachableError("the router has no connection to its node; it is made again")
        return self._following.client
