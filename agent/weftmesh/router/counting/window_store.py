"""What this node counted, on its disk until the node's log has it: a file for each window, and one for what is open.

Damage costs the file that is damaged: it is set aside, and the others go on. The calls block.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog

from weftmesh.core.errors import DataCorruptionError
from weftmesh.core.ola.replicated.rows import LATE_S, WINDOW_S
from weftmesh.router.counting.counts import CountedWindow, OpenCounts
from weftmesh.router.counting.counts_file import read_open_counts, read_window, write_open_counts, write_window
from weftmesh.runtime.files import make_private_directory, sync_directory

WINDOWS_MAX: Final = LATE_S // WINDOW_S
"""Two days: the node takes no older ones."""
DAMAGED_SUFFIX: Final = ".damaged"
_SUFFIX: Final = ".window"
_OPEN: Final = "open.counts"

log = structlog.get_logger("weftmesh.router.counting.windows")


class WindowStore:
    """The files of one router; no other process may write to them.

    Args:
        directory: made if need be.

    Raises:
        OSError: the disk refused.
    """

    def __init__(self, directory: Path) -> None:
        make_private_directory(directory)
        self._directory = directory

    def open_counts(self) -> OpenCounts:
        """What was not closed when it was saved last.

        A window that waits was closed, also where the process ended before it could save that.
        """
        path = self._directory / _OPEN
        try:
            found = read_open_counts(path)
        except DataCorruptionError as error:
            self._set_aside(path, str(error), "what was counted since the window began is lost")
            return OpenCounts()
        closed_s = {*found.closed_s, *self.waiting()}
        tallies = [one for one in found.tallies if one.is_part or one.starts_ms // 1_000 not in closed_s]
        return OpenCounts(tuple(sorted(closed_s)), tuple(tallies))

    def save_open_counts(self, counts: OpenCounts) -> None:
        """Keep what is open.

        Raises:
            OSError: the disk refused; what was kept before is still there.
        """
        write_open_counts(self._directory / _OPEN, counts)

    def waiting(self) -> list[int]:
        """Where the windows start that wait, Unix seconds; the oldest first."""
        stems = (path.stem for path in self._directory.glob(f"*{_SUFFIX}"))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def put(self, window: CountedWindow) -> None:
        """Let a window wait; the first word for it holds. Those that are too old to be taken make room.

        Raises:
            OSError: the disk refused.
        """
        path = self._path(window.starts_s)
        if not path.exists():
            write_window(path, window)
        for starts_s in self.waiting()[:-WINDOWS_MAX]:
            self.remove(starts_s)
            log.error(
                "a window waited for too long and is dropped: the node was away for days",
                starts_s=starts_s,
                what_to_do="start weftmeshd; `weftmesh ola status` lacks what this node counted then",
            )

    def get(self, starts_s: int) -> CountedWindow | None:
        """A window that waits; None where it does not, or cannot be read and was set aside.

        Raises:
            OSError: the disk refused.
        """
        path = self._path(starts_s)
        try:
            return read_window(path)
        except FileNotFoundError:
            return None
        except DataCorruptionError as error:
            self._set_aside(path, str(error), "what this node counted in the window is not recorded")
            return None

    def remove(self, starts_s: int) -> None:
        """A window waits no longer."""
        self._path(starts_s).unlink(missing_ok=True)
        sync_directory(self._directory)

    def _path(self, starts_s: int) -> Path:
        return self._directory / f"{starts_s}{_SUFFIX}"

    def _set_aside(self, path: Path, why: str, effect: str) -> None:
        kept = path.with_name(path.name + DAMAGED_SUFFIX)
        path.replace(kept)
        log.error("counts cannot be read and are set aside", why=why, kept_in=str(kept), effect=effect)
