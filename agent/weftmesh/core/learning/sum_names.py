"""The name under which secure aggregation knows a sum: its job and its kind, so that each kind has its own memory."""

from __future__ import annotations

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.learning.model import RoundKind

_SEPARATOR = "/"


def sum_name(job: str, kind: RoundKind) -> str:
    """Such as effort/training; it stands in the terms of a round as its job."""
    return f"{job}{_SEPARATOR}{kind.name.lower()}"


def parse_sum_name(name: str) -> tuple[str, RoundKind]:
    """The inverse of `sum_name`.

    Raises:
        InvalidInputError: there is no kind in it, or none that this version knows.
    """
    job, _, word = name.partition(_SEPARATOR)
    for kind in RoundKind:
        if job and sum_name(job, kind) == name:
            return job, kind
    known = ", ".join(kind.name.lower() for kind in RoundKind)
    raise InvalidInputError(
        f"a sum is named JOB{_SEPARATOR}KIND with a kind of {known}, not {name!r} ({word or 'no kind'})",
        reason="SUM_NAME_INVALID",
    )
