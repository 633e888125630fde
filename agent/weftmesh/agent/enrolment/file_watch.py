"""Takes a certificate over from files whenever they change, without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog

from weftmesh.core.errors import WeftmeshError
from weftmesh.runtime.identity.certificate_files import CertificateFiles
from weftmesh.runtime.identity.certificates import utc_now
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.store import IdentityStore

LOOK_S: Final = 5.0
"""Between two looks at the files' times and sizes."""
WARN_BEFORE_S: Final = 86_400.0
WARN_EVERY_S: Final = 3_600.0

log = structlog.get_logger("weftmesh.certificates")


class FileWatch:
    """Follows the files of `[tls] mode = "files"`; a set that is not whole changes nothing.

    A copy of each good set goes to the node's store: the router and the doctor read it there, and the node can start
    while the files are being exchanged.

    Args:
        files: where they are.
        identity: is given each new certificate.
        store: has it first.
        clock: the wall clock.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        files: CertificateFiles,
        identity: NodeIdentity,
        store: IdentityStore,
        *,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._files = files
        self._identity = identity
        self._store = store
        self._clock = clock
        self._sleep = sleep
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._complaint = ""
        self._warned: datetime | None = None

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self.look()
            await self._sleep(LOOK_S)

    async def look(self) -> bool:
        """Take the files over if they changed; whether another identity is in force then."""
        self._warn_of_the_end()
        signature = await asyncio.to_thread(self._files.signature)
        if signature == self._seen:
            return False
        present = self._identity.material
        try:
            found = await asyncio.to_thread(self._files.load_for, present.node, present.cluster, self._clock())
            is_first, is_same = not self._seen, found == present
            if is_first or not is_same:
                await asyncio.to_thread(self._store.save, found)
        except (WeftmeshError, OSError) as error:
            # Looked at again even if nobody touches them: a mode, the clock or a full disk may have been in the way.
            self._complain(str(error), present)
            return False
        self._seen, self._complaint = signature, ""
        if is_same and not is_first:
            return False
        self._identity.replace(found)
        log.info("certificate taken over", serial=found.serial, valid_until=found.not_after.isoformat())
        return True

    def _complain(self, why: str, present: IdentityMaterial) -> None:
        """Say once what is wrong with the files."""
        if why != self._complaint:
            self._complaint = why
            log.warning(
                "the certificate's files are not taken over; the node goes on with what it has",
                why=why,
                valid_until=present.not_after.isoformat(),
            )

    def _warn_of_the_end(self) -> None:
        now, ends = self._clock(), self._identity.material.not_after
        if (ends - now).total_seconds() > WARN_BEFORE_S:
            return
        if self._warned is None or (now - self._warned).total_seconds() >= WARN_EVERY_S:
            self._warned = now
            log.warning(
                "the certificate expires within a day: put a new one in its place",
                file=str(self._files.certificate),
                valid_until=ends.isoformat(),
            )
