"""The node's certificate as the router shows it to xDS clients: the node renews it on disk, and it is read again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from weftmesh.core.errors import WeftmeshError
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.store import IdentityStore

LOOK_S: Final = 1.0
"""While an authority is replaced, clients show certificates of the new one within seconds."""
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
        self._directory = directory
        self._seen = self._files()
        self.identity = NodeIdentity(self._store.load())
        self.changed: Callable[[], object] = lambda: None

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            files = self._files()
            if files != self._seen:
                self._seen = files
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

    def _files(self) -> dict[str, tuple[int, int, int]]:
        """What tells whether a file is another one than before: to look costs far less than to read."""
        found = {}
        try:
            for entry in os.scandir(self._directory):
                with suppress(FileNotFoundError):  # a new file, before it has its name
                    info = entry.stat()
                    found[entry.name] = (info.st_ino, info.st_mtime_ns, info.st_size)
        except OSError as error:
            _log.warning("the node's certificate cannot be looked at", why=str(error))
        return found
