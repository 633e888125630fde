"""The one tree of errors; `runtime.rpc` maps each to a gRPC code and the command line to an exit code."""

from __future__ import annotations

from collections.abc import Mapping


class WeftmeshError(Exception):
    """Something the caller can act on: the message says what, where and what to do.

    Attributes:
        reason: a stable UPPER_SNAKE word for programs (google.rpc.ErrorInfo.reason).
        metadata: further facts for programs.
    """

    reason = "INTERNAL"

    def __init__(self, message: str, *, reason: str | None = None, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason
        self.metadata = dict(metadata or {})


class InvalidInputError(WeftmeshError):
    """The request can never succeed as it is."""

    reason = "INVALID_INPUT"


class NotFoundError(WeftmeshError):
    """What the request names does not exist."""

    reason = "NOT_FOUND"


class AlreadyExistsError(WeftmeshError):
    """What the request would make is there already."""

    reason = "ALREADY_EXISTS"


class ConflictError(WeftmeshError):
    """Somebody else wrote first; read again and decide."""

    reason = "VERSION_CONFLICT"


class PreconditionError(WeftmeshError):
    """The request is fine, the present state is not."""

    reason = "FAILED_PRECONDITION"


class ForbiddenError(WeftmeshError):
    """The caller may not do this."""

    reason = "FORBIDDEN"


class UnauthenticatedError(WeftmeshError):
    """The caller did not prove who it is."""

    reason = "UNAUTHENTICATED"


class OutOfRangeError(WeftmeshError):
    """The revision asked for is no longer kept, or not reached yet."""

    reason = "REVISION_COMPACTED"


class OverloadedError(WeftmeshError):
    """A limit of this node was reached; try again a little later."""

    reason = "OVERLOADED"


class NoQuorumError(WeftmeshError):
    """Too few voters can be reached; nothing was changed by this call."""

    reason = "NO_QUORUM"


class UnknownOutcomeError(WeftmeshError):
    """The write may or may not have been applied; a retry with the same request id is safe and tells."""

    reason = "UNKNOWN_OUTCOME"


class DataCorruptionError(WeftmeshError):
    """Something on disk is not what was written; the process must not go on with it."""

    reason = "DATA_CORRUPTION"


class ConfigError(InvalidInputError):
    """The configuration is wrong; the message names file, line where known, and key."""

    reason = "CONFIG_INVALID"


class NodeUnreachableError(WeftmeshError):
    """The node did not answer at all: it does not run, or the way to it is broken."""

    reason = "NODE_UNREACHABLE"
