"""What may be said of an exception: its type and its place, since its text and its values may quote a task."""

from __future__ import annotations


def fault(error: Exception) -> str:
    """Such as `ValueError at weftmesh/learner/effort.py:70`; without an argument of any call in it."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return type(error).__name__
    return f"{type(error).__name__} at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
