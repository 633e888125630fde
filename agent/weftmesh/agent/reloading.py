"""SIGHUP: the configuration is read again; what can change in a running node does, and the rest is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns

import structlog

from weftmesh.core.errors import ConfigError
from weftmesh.runtime.config import Config
from weftmesh.runtime.config_change import Change, RunningSettings, named
from weftmesh.runtime.notify import notify

log = structlog.get_logger("weftmesh.node")


class Reloading:
    """Reads the configuration again whenever it is asked to.

    Args:
        running: what the node started with.
        read: reads the configuration; ConfigError when it is wrong.
        apply: takes the live settings over from a configuration that holds.
    """

    def __init__(self, running: Config, read: Callable[[], Config], apply: Callable[[Config], None]) -> None:
        self._running = RunningSettings(running)
        self._read = read
        self._apply = apply
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Reload when the node is ready; several times at once are one."""
        self._asked.set()

    async def run(self, ready: asyncio.Event) -> None:
        """Reload until cancelled."""
        await ready.wait()
        while True:
            await self._asked.wait()
            self._asked.clear()
            notify(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns() // 1000}")
            notify(f"READY=1\nSTATUS={self.reload()}")

    def reload(self) -> str:
        """Reload now; returns what came of it, in a line. A configuration that is wrong changes nothing."""
        try:
            config = self._read()
        except ConfigError as error:
            log.warning("the configuration is refused; the node goes on with the one it has", why=str(error))
            return "the configuration is refused, see the log; the node goes on with the one it has"
        changes = self._running.take_over(config)
        self._apply(config)
        log.info("the configuration was read again", changes=named(changes) or "none")
        return _summary(changes)


def _summary(changes: tuple[Change, ...]) -> str:
    """For `systemctl status`."""
    waiting = [change for change in changes if not change.is_live]
    if waiting:
        log.warning("these settings need a restart", settings=named(waiting))
        return f"needs a restart for {named(waiting)}"
    return "the configuration is in force"
