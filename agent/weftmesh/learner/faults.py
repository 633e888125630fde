"""What may be said of an exception: its type and place in the log, its words without paths to others."""

from __future__ import annotations

import re
from typing import Final

_PATH: Final = re.compile(r"""'/[^']*'|"/[^"]*"|(?<![\w./])/[^\s:;,()'"]+""")
_A_PATH: Final = "a path of that node"


def fault(error: Exception) -> str:
    """Such as `ValueError at weftmesh/learner/effort.py:70`; without an argument of any call in it."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return type(error).__name__
    return f"{type(error).__name__} at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}"


def without_paths(message: str) -> str:
    """A message for another node: what stands where on this one is no business of its."""
    return _PATH.sub(_A_PATH, message)
