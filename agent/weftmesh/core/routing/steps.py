"""Work in short steps: a generator that yields between them, and returns what came of it; nothing shows before that.

Whoever answers requests beside it takes a step, looks at what else there is to do, and goes on. What it computes is the
same whether it is done in steps or at once.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeAlias, TypeVar

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
ROWS_A_STEP: Final = 32
"""Of what takes microseconds for each row: a step ends well below a millisecond."""


def whole(steps: Steps[T]) -> T:
    """Do all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration is not generic
