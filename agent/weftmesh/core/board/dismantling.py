"""Letting go of a board that was replaced: dropped at once, a large one would hold up its whole process."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Final

AT_ONCE: Final = 256
"""Values let go of in one step, some microseconds each."""


def emptied(values: MutableMapping[Any, Any]) -> Iterator[None]:
    """Empties `values`, which nobody uses any more, a little at each step."""
    while values:
        for _ in range(min(len(values), AT_ONCE)):
            values.popitem()
        yield
