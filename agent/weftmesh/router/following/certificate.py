"""The node's certificate as the router shows it to xDS clients: the node renews it on disk, and it is read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from weftmesh.core.errors import WeftmeshError
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.store import IdentityStore

READ_S: Final = 60.0
"""Certificates are renewed long before they end; whom to trust may change within minutes."""
_log = structlog.get_logger("weftmesh.router")


class Certificate:
    """Keeps an identity as new as its directory.

    Args:
        directory: the node's DATA/identity.

    Attributes:
        identity: in force.
        changed: called when it was replaced.

    Raises:
        WeftmeshError: there is no identity in the directory.
    """

    def __init__(self, directory: Path) -> None:
        self._store = IdentityStore(directory)
        self.identity = NodeIdentity(self._store.load())
        self.changed: Callable[[], object] = lambda: None

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(READ_S)
            self.read()

    def read(self) -> None:
        """Take over what was renewed; what cannot be read changes nothing, and is logged."""
        try:
            found = self._store.load()
        except (WeftmeshError, OSError) as error:
            _log.warning("the node's certificate cannot be read again", why=str(error))
            return
        if found != self.identity.material:
            self.identity.replace(found)
            self.changed()
