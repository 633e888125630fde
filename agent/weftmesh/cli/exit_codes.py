"""What the command line's exit status means, for scripts."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from weftmesh.core.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    NodeUnreachableError,
    NoQuorumError,
    NotFoundError,
    UnauthenticatedError,
    WeftmeshError,
)


class ExitCode(IntEnum):
    """Exit statuses; the same on every command."""

    OK = 0
    ERROR = 1
    USAGE = 2
    UNREACHABLE = 3
    NO_QUORUM = 4
    CONFLICT = 5
    FORBIDDEN = 6
    NOT_FOUND = 7
    QUEUED = 8
    # Of `doctor`: what it found, apart from that it could not look.
    WARNINGS = 10
    FAILURES = 11
    COULD_NOT_RUN = 12


_BY_ERROR: Final[tuple[tuple[type[WeftmeshError], ExitCode], ...]] = (
    (NodeUnreachableError, ExitCode.UNREACHABLE),
    (NoQuorumError, ExitCode.NO_QUORUM),
    (ConflictError, ExitCode.CONFLICT),
    (AlreadyExistsError, ExitCode.CONFLICT),
    (ForbiddenError, ExitCode.FORBIDDEN),
    (UnauthenticatedError, ExitCode.FORBIDDEN),
    (NotFoundError, ExitCode.NOT_FOUND),
)


def exit_code_of(error: WeftmeshError) -> ExitCode:
    """The exit status for an error."""
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.ERROR
