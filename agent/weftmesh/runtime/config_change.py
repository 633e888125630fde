"""What differs between two configurations, and what of it a running daemon takes over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from weftmesh.runtime.config import Config
from weftmesh.runtime.config_schema import KEYS, SettingValue


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that was changed while the daemon runs."""

    section: str
    key: str
    running: SettingValue
    """What the daemon runs with."""
    wanted: SettingValue

    @property
    def is_live(self) -> bool:
        """Whether it takes force without a restart."""
        return KEYS[self.section, self.key].live

    def __str__(self) -> str:
        return f"{self.section}.{self.key} ({_shown(self.running)} -> {_shown(self.wanted)})"


class RunningSettings:
    """The settings a daemon runs with: those it started with, but for what was changed live since."""

    def __init__(self, config: Config) -> None:
        self._values = {(one.section, one.key): one.value for one in config.settings}

    def take_over(self, config: Config) -> tuple[Change, ...]:
        """Take the live ones over from a configuration; returns every difference, those that stay included."""
        changes = tuple(
            Change(one.section, one.key, self._values[one.section, one.key], one.value)
            for one in config.settings
            if self._values[one.section, one.key] != one.value
        )
        self._values |= {(one.section, one.key): one.wanted for one in changes if one.is_live}
        return changes


def named(changes: Iterable[Change]) -> str:
    """Changes in a line, for people."""
    return ", ".join(map(str, changes))


def _shown(value: SettingValue) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
