"""Starts the learner: whoever listens on its socket (systemd, or `weftmesh dev`) runs it when somebody connects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import structlog

from weftmesh.core.errors import PreconditionError

SOCKET_NAME: Final = "learner.sock"
NO_LEARNER: Final = "NO_LEARNER"
CONNECT_TIMEOUT_S: Final = 2.0

log = structlog.get_logger("weftmesh.learning")


class LearnerStarter(Protocol):
    """Starts this node's learner."""

    def starting(self) -> AbstractAsyncContextManager[None]:
        """Ask for the learner; the block waits for it to attend.

        Raises:
            PreconditionError: NO_LEARNER: none is set up here.
        """


class LearnerSocket:
    """A `LearnerStarter` that connects to a Unix socket, and keeps the connection until the learner attends.

    The connection carries nothing. The learner that is started for it has to accept it: one that is left on the socket
    would start the next learner.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """See LearnerStarter."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_unix_connection(self._path)
        except (OSError, TimeoutError) as error:
            # The refusal travels to whoever asked, to whom this node's paths are no business.
            log.warning("no learner can be started", socket=str(self._path), why=str(error) or "no answer")
            raise PreconditionError(
                "no learner is set up on this node: nobody listens on its learner's socket; install the learner there, "
                "or let the node's owner opt it out of learning",
                reason=NO_LEARNER,
            ) from error
        try:
            yield
        finally:
            writer.close()
