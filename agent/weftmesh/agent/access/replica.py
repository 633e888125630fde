"""The bindings as this node knows them, also right after a start.

A node that starts without its leader knows only what its newest snapshot holds. The bindings that it has seen last are
in a file of their own, so that such a node is not open to whom it was closed before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from weftmesh.agent.board.homes import Home
from weftmesh.core.access.machine import Access
from weftmesh.core.access.outcomes import AccessEvent
from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.files import write_atomic
from weftmesh.runtime.frames import frames, pieces
from weftmesh.runtime.wire.access_rows import access_from_rows, access_rows

FILE_NAME: Final = "roles"
FILE_BYTES_MAX: Final = 64 * 1024 * 1024

log = structlog.get_logger("weftmesh.access")

Listener = Callable[[], None]


class RolesReplica:
    """The machine of roles of the mesh's log, or the newest that this node remembers, whichever knows more.

    Args:
        mesh: the replicated log.
        path: where the newest bindings are remembered.

    Raises:
        DataCorruptionError: the file cannot be read.
    """

    def __init__(self, mesh: Home, path: Path) -> None:
        self._mesh = mesh
        self._path = path
        self._remembered = load(path)
        self._told = self._remembered.revision if self._remembered else 0
        self._listeners: list[Listener] = []
        self._event_listeners: list[Callable[[Sequence[AccessEvent]], None]] = []
        self.any_bindings = self._any()
        """Whether there is a binding at all: without one nothing has to be looked up."""
        mesh.machine.on_access(self._applied)
        mesh.machine.on_restored(self._moved)

    @property
    def access(self) -> Access:
        """The machine now; a snapshot may replace it."""
        current = self._mesh.machine.access
        if self._remembered is None:
            return current
        if current.revision >= self._remembered.revision:
            self._remembered = None
            return current
        return self._remembered

    def on_change(self, listener: Listener) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    def on_events(self, listener: Callable[[Sequence[AccessEvent]], None]) -> None:
        """Call `listener` with what every applied entry changed; not again with what is applied anew after a start."""
        self._event_listeners.append(listener)

    def _any(self) -> bool:
        return next(self.access.bindings(), None) is not None

    def _applied(self, events: Sequence[AccessEvent]) -> None:
        self._moved()
        news = [event for event in events if event.revision > self._told]
        for listener in self._event_listeners:
            listener(news)

    def _moved(self) -> None:
        self._remember()
        self.any_bindings = self._any()
        for listener in self._listeners:
            listener()

    def _remember(self) -> None:
        """Changes of bindings are rare, and few bytes."""
        access = self.access
        if access is self._remembered or not access.revision:
            return
        try:
            write_atomic(self._path, frames(list(access_rows(access.freeze())), 0))
        except OSError as error:
            log.error(  # noqa: TRY400 - the node goes on: the log has it
                "the newest roles cannot be remembered: after a start without a leader older ones would hold",
                path=str(self._path),
                why=str(error),
            )


def load(path: Path) -> Access | None:
    """The bindings in a file; None if there is none.

    Raises:
        DataCorruptionError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX)
    except FileNotFoundError:
        return None
    try:
        # Bytes that are no record become a row that none can read.
        return access_from_rows([b"\xff" if payload is None else payload for _, _, payload in pieces(data)])
    except DataCorruptionError as error:
        raise DataCorruptionError(
            f"{path} cannot be read ({error}): it holds the roles that this node knew last. Remove it once this node "
            "follows a leader again, or before if you accept the roles of its newest snapshot until then"
        ) from error
