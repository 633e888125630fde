"""What is wrong with an agreement, in a form that names the place, and the limits that an agreement keeps."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from weftmesh.core.records import record

Path: TypeAlias = tuple[str | int, ...]
"""Where something stands below `spec`, in the words of an agreement's file: ("probes", 0, "timeout"); items from 0."""

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAME_ALLOWED: Final = "1 to 63 of a-z, 0-9 and '-', which neither begins nor ends it"
TEXT_CHARACTERS_MAX: Final = 200
COUNT_PART_S: Final = 300
"""History is counted in parts of five minutes."""
WINDOW_S: Final = range(3600, 366 * 86_400 + 1)
THRESHOLD_US: Final = range(1, 3600 * 1_000_000 + 1)
PART_MS: Final = range(1, 86_400_000 + 1)
REQUESTS: Final = range(1, 1_000_000_000)
PROBE_MS: Final = range(10, 3_600_000 + 1)
CAPACITY: Final = range(1, 1_000_000)
PERCENT: Final = range(101)
EXCLUSION_S: Final = range(60, 31 * 86_400 + 1)
OBJECTIVES_MAX: Final = 16
PROBES_MAX: Final = 16
ENDPOINTS_MAX: Final = 1000
DEPENDENCIES_MAX: Final = 64
ANY_OF_MAX: Final = 16
OPEN_HOURS_MAX: Final = 32
EXCLUSIONS_MAX: Final = 32
ACTIONS_MAX: Final = 8
LABELS_MAX: Final = 64


@record(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: where, below `spec`; of the name, the labels and whatever stands beside `spec`, ("metadata", ...).
        message: what is wrong.
        fix: what to do about it.
    """

    path: Path
    message: str
    fix: str
