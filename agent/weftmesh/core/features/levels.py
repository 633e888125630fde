"""Feature levels: what each brings, and which this build supports.

A level is a promise of a mesh to itself: every member can take in what the log may hold from here on. A build supports
its own level and all below; a mesh that never raised its level is at the first one.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from weftmesh.core.errors import PreconditionError

FIRST_LEVEL: Final = 1
"""Of a mesh whose log says nothing, and of a node that tells nothing."""
SUPPORTED_LEVEL: Final = 2
"""The highest that this build can take in."""


class Feature(Enum):
    """What may enter the log only at a level: the name for people, and the level."""

    ROLES = ("roles", 2)
    TRUST = ("revocation of certificates", 2)

    def __init__(self, title: str, level: int) -> None:
        self.title = title
        self.level = level


MACHINE_FEATURES: Final[dict[str, Feature]] = {"access": Feature.ROLES, "trust": Feature.TRUST}
"""By the machine's case in a log entry: its commands are refused by every node alike while the level is too low, as a
build that does not know the machine refuses them."""


class UnsupportedLevelError(PreconditionError):
    """What a log, a snapshot or a backup holds needs a later build; going on without it would make another state."""

    reason = "UPGRADE_NEEDED"


def check_supported(level: int, where: str) -> None:
    """Refuse what this build cannot take in.

    Args:
        level: that is needed.
        where: what needs it, to begin a sentence with.

    Raises:
        UnsupportedLevelError: a later build is needed.
    """
    if level > SUPPORTED_LEVEL:
        raise UnsupportedLevelError(
            f"{where} needs feature level {level}, and this build supports {SUPPORTED_LEVEL}: install the version of "
            "weftmesh that the other nodes run, or a later one, and start again. Nothing was changed"
        )
