"""Refusals that repeat: one record says how many there were, so that nobody can push others out by asking on and on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from weftmesh.agent.access.journal import Note
from weftmesh.agent.audit_log.describing import entry_of, target_of
from weftmesh.core.audit_log.entries import Entry

WINDOW_US: Final = 10_000_000
"""The same refusal is written down once in this time."""
KINDS_MAX: Final = 4_096
"""Refusals remembered; beyond it each is written down."""

_Kind = tuple[str, int, str, str]


class _Counted:
    """One refusal that may repeat."""

    __slots__ = ("count", "last", "since_us")

    def __init__(self, note: Note) -> None:
        self.since_us = note.time_us
        self.last = note
        self.count = 0


class Denials:
    """Counts refusals of the same caller, method and target."""

    def __init__(self) -> None:
        self._known: dict[_Kind, _Counted] = {}

    @property
    def are_counted(self) -> bool:
        """Whether repetitions wait to be told."""
        return any(one.count for one in self._known.values())

    def is_repeated(self, note: Note) -> bool:
        """Whether the same was refused just now; then it is counted, and told later."""
        kind = (note.caller.actor, note.caller.uid, note.method, target_of(note.request))
        known = self._known.get(kind)
        if known is not None and note.time_us - known.since_us < WINDOW_US:
            known.last, known.count = note, known.count + 1
            return True
        if known is None and len(self._known) >= KINDS_MAX:
            self._forget(note.time_us)
            if len(self._known) >= KINDS_MAX:
                return False
        untold = known.count if known is not None else 0
        self._known[kind] = counted = _Counted(note)
        counted.count = untold  # of the window before; told with those of this one
        return False

    def overdue(self, now_us: int) -> list[tuple[int, Entry]]:
        """What was repeated in windows that are over, as records; they are told by that."""
        return self._told(lambda one: now_us - one.since_us >= WINDOW_US)

    def close(self) -> list[tuple[int, Entry]]:
        """Everything that was repeated and not told."""
        return self._told(lambda _: True)

    def _told(self, is_due: Callable[[_Counted], bool]) -> list[tuple[int, Entry]]:
        told = []
        for kind, one in list(self._known.items()):
            if is_due(one):
                del self._known[kind]
                if one.count:
                    told.append((one.last.time_us, entry_of(one.last, one.count - 1)))
        return told

    def _forget(self, now_us: int) -> None:
        for kind, one in list(self._known.items()):
            if not one.count and now_us - one.since_us >= WINDOW_US:
                del self._known[kind]
