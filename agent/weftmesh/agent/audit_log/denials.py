"""Refusals that repeat: one record says how many there were, so that nobody can push others out by asking on and on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from weftmesh.agent.access.journal import Note
from weftmesh.agent.audit_log.describing import entry_of, target_of
from weftmesh.core.audit_log.entries import Entry
from weftmesh.core.errors import OverloadedError

WINDOW_US: Final = 10_000_000
"""The same refusal is written down once in this time."""
LIMIT_WINDOW_US: Final = 60_000_000
"""And what a caller is refused for asking too much, whatever he asked: he can do that as fast as he can call."""
KINDS_PER_CALLER_MAX: Final = 20
"""Different refusals of one caller in that time; what else he is refused is counted together."""
CALLERS_MAX: Final = 1_024
"""Of whom refusals are remembered; what others are refused is counted together."""

_Caller = tuple[str, int]
_Kind = tuple[str, str]
_OTHER_CALLERS: Final[_Caller] = ("", -1)
_OTHER_KINDS: Final[_Kind] = ("", "")


class _Counted:
    """One refusal that may repeat; of its repetitions no request is kept."""

    __slots__ = ("count", "entry", "last_us", "since_us", "window_us")

    def __init__(self, since_us: int, window_us: int) -> None:
        self.since_us = since_us
        self.window_us = window_us
        self.last_us = since_us
        self.count = 0
        self.entry: Entry | None = None

    def is_over(self, now_us: int) -> bool:
        """Whether its window has passed, or the clock was set back."""
        return not 0 <= now_us - self.since_us < self.window_us


class Denials:
    """Counts refusals of the same caller, method and target; by limits, of the same caller and limit."""

    def __init__(self) -> None:
        self._known: dict[_Caller, dict[_Kind, _Counted]] = {}

    @property
    def are_counted(self) -> bool:
        """Whether repetitions wait to be told."""
        return any(one.count for kinds in self._known.values() for one in kinds.values())

    def is_repeated(self, note: Note) -> bool:
        """Whether the same was refused just now; then it is counted, and told later."""
        kinds = self._kinds_of((note.caller.actor, note.caller.uid), note.time_us)
        kind, window_us = (note.method, target_of(note.request)), WINDOW_US
        if isinstance(note.error, OverloadedError):
            kind, window_us = ("", note.error.reason), LIMIT_WINDOW_US
        if kind not in kinds and len(kinds) >= KINDS_PER_CALLER_MAX:
            _forget(kinds, note.time_us)
            if len(kinds) >= KINDS_PER_CALLER_MAX:
                kind = _OTHER_KINDS
        known = kinds.get(kind)
        if known is None or known.is_over(note.time_us):
            kinds[kind] = counted = _Counted(note.time_us, window_us)
            if known is not None:  # of the window before; told with those of this one
                counted.count, counted.entry = known.count, known.entry
            return False
        known.last_us, known.count = note.time_us, known.count + 1
        if known.entry is None:
            known.entry = entry_of(note)
        return True

    def overdue(self, now_us: int) -> list[tuple[int, Entry]]:
        """What was repeated in windows that are over, as records; they are told by that."""
        return self._told(lambda one: one.is_over(now_us))

    def close(self) -> list[tuple[int, Entry]]:
        """Everything that was repeated and not told."""
        return self._told(lambda _: True)

    def _kinds_of(self, caller: _Caller, now_us: int) -> dict[_Kind, _Counted]:
        known = self._known.get(caller)
        if known is None and len(self._known) >= CALLERS_MAX:
            for kinds in self._known.values():
                _forget(kinds, now_us)
            self._known = {one: kinds for one, kinds in self._known.items() if kinds}
            if len(self._known) >= CALLERS_MAX:
                caller = _OTHER_CALLERS
        return self._known.setdefault(caller, {}) if known is None else known

    def _told(self, is_due: Callable[[_Counted], bool]) -> list[tuple[int, Entry]]:
        told = []
        for kinds in self._known.values():
            for kind, one in list(kinds.items()):
                if is_due(one):
                    del kinds[kind]
                    if one.entry is not None:
                        told.append((one.last_us, replace(one.entry, repeats=one.count - 1)))
        return told


def _forget(kinds: dict[_Kind, _Counted], now_us: int) -> None:
    for kind, one in list(kinds.items()):
        if not one.count and one.is_over(now_us):
            del kinds[kind]
