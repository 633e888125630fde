"""When the agreements were last known to be the mesh's."""

from __future__ import annotations

from typing import Final

from weftmesh.router.clock import Clock

CONTACT_S: Final = 5.0
"""For so long after the last word nothing counts as stale."""


class Contact:
    """Knows how stale the router is.

    Args:
        clock: of the process.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard_s = 0.0
        self._begun_s = clock.table_s()

    @property
    def heard_ms(self) -> int:
        """When the node, with a leader in reach, was last heard of; Unix milliseconds, 0 for never."""
        return int(self._heard_s * 1e3)

    def heard(self) -> None:
        """The node says just now that it follows a leader."""
        self._heard_s = self._clock.table_s()

    def restore(self, heard_ms: int) -> None:
        """Begin with what an earlier life of the process heard last."""
        self._heard_s = self._begun_s = min(heard_ms / 1e3, self._clock.table_s() - CONTACT_S)

    def stale_ms(self) -> int:
        """How old what is known is; 0 while the node follows a leader."""
        age_s = self._clock.table_s() - max(self._heard_s, self._begun_s)
        return 0 if age_s < CONTACT_S else int(age_s * 1e3)
