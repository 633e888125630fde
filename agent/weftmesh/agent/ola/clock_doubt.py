"""Whether this node's clock has run away from those of the others.

The newest window of any node makes history older, and windows that are much older are taken no longer: one node whose
clock is wrong by years would end the account of all the others. No machine knows the time; this node can tell that the
others go on counting, and count days before it.
"""

from __future__ import annotations

from typing import Final

from weftmesh.core.errors import PreconditionError
from weftmesh.core.ola.replicated.outcomes import Reason
from weftmesh.core.ola.replicated.rows import DAY_S, LATE_S, WINDOW_S

QUIET_S: Final = 3.0 * WINDOW_S
"""The others are believed while they go on. After so long without a newer window of theirs the mesh may have stood
still for days, and this node is the first one to count again."""


class ClockDoubt:
    """Remembers since when the others say nothing new."""

    def __init__(self) -> None:
        self._others_s = 0
        self._since_s = 0.0

    def check(self, starts_s: int, others_s: int, now_s: float) -> None:
        """Let a window of this node pass, or not yet.

        Args:
            starts_s: where the window starts, Unix seconds.
            others_s: where the newest window of another node starts; 0 for none.
            now_s: of a clock that nobody sets.

        Raises:
            PreconditionError: the window is days after all of the others', and they go on.
        """
        if others_s != self._others_s:
            self._others_s, self._since_s = others_s, now_s
        if not others_s or starts_s <= others_s + LATE_S or now_s - self._since_s >= QUIET_S:
            return
        raise PreconditionError(
            f"the window from {starts_s} is {(starts_s - others_s) / DAY_S:.1f} days after the newest one of another "
            f"node: correct this node's clock; if the mesh stood still, it is taken in {QUIET_S / 60:.0f} minutes",
            reason=Reason.WINDOW_AHEAD.value,
        )
