"""Errors as google.rpc.Status (google.aip.dev/193) and back: the one place that knows which is which gRPC code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it carries no py.typed

from weftmesh.board.v1 import board_pb2
from weftmesh.core import errors

DOMAIN: Final = "weftmesh"
"""google.rpc.ErrorInfo.domain of everything this project says."""
DETAILS_KEY: Final = "grpc-status-details-bin"
FIELD_KEY: Final = "field"
"""In an InvalidInputError's metadata: the path of the field that is wrong. Sent as google.rpc.BadRequest too."""
RETRY_KEY: Final = "retry_after_ms"
"""In the metadata of an error that passes: how long to wait. Sent as google.rpc.RetryInfo too."""
TRAILER_BYTES_MAX: Final = 4 * 1024
"""Details in trailers; gRPC cuts the connection of a caller whose trailers exceed 8 KiB with all the rest."""
MESSAGE_CHARACTERS_MAX: Final = 300
"""A status message in trailers, where one character may take nine bytes."""
_CLIP_CHARACTERS: Final = (400, 100, 24)
"""How long each text in trailers may stay, tried in this order until everything fits."""

_CODES: Final[Mapping[type[errors.WeftmeshError], grpc.StatusCode]] = {
    errors.InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ConfigError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.ConflictError: grpc.StatusCode.ABORTED,
    errors.PreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.OutOfRangeError: grpc.StatusCode.OUT_OF_RANGE,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NodeUnreachableError: grpc.StatusCode.UNAVAILABLE,
    errors.NoQuorumError: grpc.StatusCode.UNAVAILABLE,
    # As google.rpc.Code says of it: may be returned even if the operation has completed.
    errors.UnknownOutcomeError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.DataCorruptionError: grpc.StatusCode.DATA_LOSS,
    errors.WeftmeshError: grpc.StatusCode.INTERNAL,
}
_UNDECIDED: Final[Mapping[grpc.StatusCode, str]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "no answer within the deadline",
    # Who cancels a call of grpc.aio gets asyncio.CancelledError: this is one that gRPC itself gave up.
    grpc.StatusCode.CANCELLED: "the call was cut off",
}
"""Statuses of gRPC's own that do not say what became of the call."""
_RETRY_AFTER_MS: Final[Mapping[type[errors.WeftmeshError], int]] = {
    errors.NoQuorumError: 1_000,
    errors.OverloadedError: 200,
}
_CODE_BY_NUMBER: Final[Mapping[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

_MessageT = TypeVar("_MessageT", bound=Message)


class CollisionError(errors.ConflictError):
    """A version conflict that says which fields collide.

    Attributes:
        details: both values of each field, and the version to read again.
    """

    def __init__(
        self, message: str, details: board_pb2.ConflictDetail, *, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, metadata=metadata)
        self.details = details


def to_status(error: errors.WeftmeshError) -> tuple[grpc.StatusCode, status_pb2.Status]:
    """Return the gRPC code of `error` and its full status: ErrorInfo first, then what else is known."""
    code = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    status = status_pb2.Status(code=code.value[0], message=str(error))
    for detail in _details(error):
        status.details.add().Pack(detail)
    return code, status


def _details(error: errors.WeftmeshError) -> Iterable[Message]:
    metadata = dict(error.metadata)
    retry_after_ms = _retry_after_ms(error)
    if retry_after_ms:
        metadata[RETRY_KEY] = str(retry_after_ms)
    yield error_details_pb2.ErrorInfo(domain=DOMAIN, reason=error.reason, metadata=metadata)
    if retry_after_ms:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(retry_after_ms)
        yield retry
    if isinstance(error, errors.InvalidInputError) and FIELD_KEY in metadata:
        violation = error_details_pb2.BadRequest.FieldViolation(field=metadata[FIELD_KEY], description=str(error))
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if isinstance(error, CollisionError):
        yield error.details


def _retry_after_ms(error: errors.WeftmeshError) -> int:
    given = error.metadata.get(RETRY_KEY, "")
    if given.isascii() and given.isdigit():
        return int(given[:9])
    return next((delay for kind, delay in _RETRY_AFTER_MS.items() if isinstance(error, kind)), 0)


def retry_after_s(error: errors.WeftmeshError) -> float:
    """How long whoever raised `error` asks to wait before another attempt, in seconds; 0 if it does not say."""
    return _retry_after_ms(error) / 1000


def error_from_status(status: status_pb2.Status) -> errors.WeftmeshError:
    """Return the error that `status` was made of; of a status from elsewhere, the nearest one."""
    code = _CODE_BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    info = _find(status, error_details_pb2.ErrorInfo())
    if info is None or info.domain != DOMAIN:
        return _from_code(code, status.message)
    metadata = dict(info.metadata)
    if code is grpc.StatusCode.ABORTED:
        conflict = _find(status, board_pb2.ConflictDetail())
        if conflict is not None:
            error = CollisionError(status.message, conflict, metadata=metadata)
            error.reason = info.reason
            return error
    return _class_of(code, info.reason)(status.message, reason=info.reason, metadata=metadata)


def _find(status: status_pb2.Status, into: _MessageT) -> _MessageT | None:
    """Return the first detail of the type of `into`, or None; a malformed one counts as absent."""
    for detail in status.details:
        if detail.Is(into.DESCRIPTOR):
            try:
                detail.Unpack(into)
            except DecodeError:
                return None
            return into
    return None


def _class_of(code: grpc.StatusCode, reason: str) -> type[errors.WeftmeshError]:
    """Return the class of this code; where several share it, the one with this reason, or the last of them."""
    sharing = [kind for kind, of_kind in _CODES.items() if of_kind is code]
    exact = [kind for kind in sharing if kind.reason == reason]
    if exact:
        return exact[0]
    return sharing[0] if code is grpc.StatusCode.INVALID_ARGUMENT else (sharing or [errors.WeftmeshError])[-1]


def from_rpc_error(error: grpc.RpcError) -> errors.WeftmeshError:
    """Return what a failed call means: our own error as it was raised, or the nearest one to a bare gRPC code."""
    if not isinstance(error, grpc.aio.AioRpcError | grpc.Call):
        return errors.WeftmeshError(f"the call failed: {error}")
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return error_from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    return _from_code(error.code(), error.details() or "")


def _from_code(code: grpc.StatusCode, text: str) -> errors.WeftmeshError:
    """Return the error for a status that carries no details of ours: made by gRPC itself or by another program."""
    if code is grpc.StatusCode.UNAVAILABLE:
        return errors.NodeUnreachableError(f"no answer from the node ({text}); check that it runs and can be reached")
    if code in _UNDECIDED:
        return errors.UnknownOutcomeError(
            f"{_UNDECIDED[code]} ({text}); a write may have been applied: retry it with the same request id"
        )
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in text:
        return errors.InvalidInputError(f"a message is too large ({text}); send less", reason="MESSAGE_TOO_LARGE")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return errors.PreconditionError(
            f"the node does not know this method ({text}); upgrade it", reason="UNIMPLEMENTED"
        )
    kind = _class_of(code, "")
    if kind is errors.WeftmeshError:
        return kind(f"the call failed with {code.name}: {text}", reason=code.name)
    return kind(text)


def to_write_failed(error: errors.WeftmeshError) -> board_pb2.WriteFailed:
    """Return `error` as one answer of the Write stream, with its details in full."""
    code, status = to_status(error)
    return board_pb2.WriteFailed(code=code.value[0], message=status.message, status=status.SerializeToString())


def error_from_write_failed(failed: board_pb2.WriteFailed) -> errors.WeftmeshError:
    """Return the error that one answer of the Write stream carries."""
    try:
        return error_from_status(status_pb2.Status.FromString(failed.status))
    except DecodeError:
        return error_from_status(status_pb2.Status(code=failed.code, message=failed.message))


def to_trailers(status: status_pb2.Status) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Return `status` as a message and trailing metadata, within TRAILER_BYTES_MAX.

    Long texts are cut and end with an ellipsis; whoever needs them in full reads the task.
    """
    status = status_pb2.Status(
        code=status.code, message=_clip(status.message, MESSAGE_CHARACTERS_MAX), details=status.details
    )
    original = list(status.details)
    for characters in _CLIP_CHARACTERS:
        if status.ByteSize() <= TRAILER_BYTES_MAX:
            break
        del status.details[:]
        status.details.extend(_clipped(detail, characters) for detail in original)
    while status.details and status.ByteSize() > TRAILER_BYTES_MAX:
        del status.details[-1]
    return status.message, ((DETAILS_KEY, status.SerializeToString()),)


def _clipped(detail: AnyMessage, characters: int) -> AnyMessage:
    packed = AnyMessage()
    info = error_details_pb2.ErrorInfo()
    conflict = board_pb2.ConflictDetail()
    request = error_details_pb2.BadRequest()
    if detail.Unpack(info):
        for key, value in info.metadata.items():
            info.metadata[key] = _clip(value, characters)
        packed.Pack(info)
    elif detail.Unpack(conflict):
        for field in conflict.fields:
            field.base = _clip(field.base, characters)
            field.yours = _clip(field.yours, characters)
            field.theirs = _clip(field.theirs, characters)
        packed.Pack(conflict)
    elif detail.Unpack(request):
        for violation in request.field_violations:
            violation.description = _clip(violation.description, characters)
        packed.Pack(request)
    else:
        packed.CopyFrom(detail)
    return packed


def _clip(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
