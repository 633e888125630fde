"""Follows the node: agreements and orders with each change, and whether the node itself follows a leader."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final

import structlog

from weftmesh.client import Client
from weftmesh.core.errors import NodeUnreachableError, PreconditionError, WeftmeshError
from weftmesh.mesh.v1 import trust_pb2
from weftmesh.ola.v1 import ola_pb2
from weftmesh.router.following.standing import Standing

PAUSE_S: Final = 0.1
PAUSE_MAX_S: Final = 2.0
"""Between two attempts: a node that is back is followed within this time."""
STATUS_S: Final = 1.0
STATUS_TIMEOUT_S: Final = 2.0
_log = structlog.get_logger("weftmesh.router")


class Following:
    """Follows the node for as long as it runs, whether the node is there or not.

    Args:
        open_client: a client of the node, for as long as its block runs.
        take: told of every message about agreements; the next one waits until it is done.
        heard: called when the node says that it follows a leader.
        rng: for pauses.
        known_revision: of what an earlier life of the process kept.
        standing: told whose certificates are good; None where nobody shows one.
    """

    def __init__(
        self,
        open_client: Callable[[], AbstractAsyncContextManager[Client]],
        take: Callable[[ola_pb2.AgreementsChange], Awaitable[None]],
        heard: Callable[[], None],
        rng: random.Random,
        known_revision: int = 0,
        standing: Standing | None = None,
    ) -> None:
        self._open_client = open_client
        self._take = take
        self._heard = heard
        self._rng = rng
        self._revision = 0
        self._known = known_revision
        self._standing = standing
        self._followed = asyncio.Event()
        self.client: Client | None = None
        """While the node is connected."""

    async def run(self) -> None:
        """Go on until cancelled."""
        pause_s, lost = PAUSE_S, False
        while True:
            before = self._revision
            try:
                async with self._open_client() as client:
                    self.client = client
                    _log.info("following the node", target=client.target)
                    lost = False
                    await self._follow(client)
            except WeftmeshError as error:
                if not lost:
                    _log.warning("the node is out of reach: routing goes on by what is known", why=str(error))
                lost = True
            finally:
                self.client = None
            pause_s = PAUSE_S if self._revision != before else min(2 * pause_s, PAUSE_MAX_S)
            await asyncio.sleep(pause_s * self._rng.uniform(0.5, 1.0))

    async def _follow(self, client: Client) -> None:
        """Until the connection breaks.

        Raises:
            WeftmeshError: it broke.
        """
        status = asyncio.create_task(self._ask_status(client))
        try:
            async with aclosing(client.ola.watch_agreements(self._revision)) as changes:
                async for change in changes:
                    if change.everything and change.revision < self._known:
                        await self._check_caught_up(client)
                    await self._take(change)
                    self._revision = self._known = change.revision
                    self._followed.set()
            raise NodeUnreachableError(f"{client.target} ended the stream of agreements; it is asked again")
        finally:
            status.cancel()

    async def _ask_status(self, client: Client) -> None:
        """A follower that lost its leader streams nothing, and so does one that has nothing to say."""
        # Before the first word the node may be ready while the router knows nothing of its agreements.
        await self._followed.wait()
        while True:
            try:
                status = await client.mesh.get_status(timeout_s=STATUS_TIMEOUT_S)
                if status.quorum:
                    self._heard()
                if self._standing is not None:
                    self._standing.hear(status, await _certificates(client))
            except WeftmeshError as error:
                _log.debug("the node does not answer", why=str(error))
            await asyncio.sleep(STATUS_S)

    async def _check_caught_up(self, client: Client) -> None:
        """A node that has just started knows less than before until it hears from a leader: routes must not go by that.

        Raises:
            NodeUnreachableError: it has not heard from one yet.
        """
        status = await client.mesh.get_status(timeout_s=STATUS_TIMEOUT_S)
        if not status.quorum or status.applied_index < status.commit_index:
            raise NodeUnreachableError(
                f"{client.target} knows less than before, and has no leader yet; it is asked again"
            )


async def _certificates(client: Client) -> trust_pb2.CertificatesView | None:
    """What the node says of certificates; None where its version knows of no revocations.

    Raises:
        WeftmeshError: it does not answer.
    """
    try:
        return await client.trust.get_certificates(timeout_s=STATUS_TIMEOUT_S)
    except PreconditionError as error:
        if error.reason != "UNIMPLEMENTED":
            raise
        return None
