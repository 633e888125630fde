"""What a failed call means to its caller, and whether trying again is safe and useful."""

from __future__ import annotations

from typing import Final

import grpc

from weftmesh.client.target import somebody_listens
from weftmesh.core.errors import (
    ForbiddenError,
    NodeUnreachableError,
    NoQuorumError,
    OverloadedError,
    UnknownOutcomeError,
    WeftmeshError,
)
from weftmesh.runtime.rpc import from_rpc_error

ROUTER_SOCKET_NAME: Final = "router.sock"
"""Beside the node's socket."""
RETRYABLE: Final = (NodeUnreachableError, NoQuorumError, OverloadedError, UnknownOutcomeError)
"""Errors that pass. Only for requests that may be sent twice: reads, and writes under a request id."""
REQUEST_ID_FIELD: Final = "request_id"
"""In the metadata of an error of unknown outcome: the id to ask again with."""

DEV_UP: Final = "weftmesh dev up"
LOST_WHILE_SENDING: Final = "Internal error from Core"
"""What grpc.aio says of a call that ended while a message was handed to it, before it knew why it ended."""


def is_retryable(error: WeftmeshError) -> bool:
    """Whether the same request may succeed a little later."""
    return isinstance(error, RETRYABLE)


def from_call_error(error: grpc.aio.AioRpcError, target: str) -> WeftmeshError:
    """The error of our own tree for a failed call; `target` is the node's address."""
    if error.code() is grpc.StatusCode.INTERNAL and error.details() == LOST_WHILE_SENDING:
        return unreachable(target, "it went away while it was sent something")
    meaning = from_rpc_error(error)
    if isinstance(meaning, NodeUnreachableError):
        return unanswered(target, error.details() or "no answer")
    return meaning


def unanswered(target: str, why: str) -> WeftmeshError:
    """Nobody answers at `target`, or this user may not ask there."""
    try:
        somebody_listens(target)
    except ForbiddenError as forbidden:
        return forbidden
    return unreachable(target, why)


def unreachable(target: str, why: str) -> NodeUnreachableError:
    """Nobody answers at `target`."""
    from weftmesh.runtime.config import DEFAULT_PATH
    from weftmesh.runtime.units import NodeCommands

    here = NodeCommands.of_this_machine(DEFAULT_PATH)
    if target.endswith(ROUTER_SOCKET_NAME):
        start = (
            "systemctl start weftmesh-router" if here.has_unit else f"python -m weftmesh.router, or {DEV_UP} --routers"
        )
        return NodeUnreachableError(
            f"no router answers at {target} ({why}); start it ({start}) or name another socket (--socket of its node, "
            "WEFTMESH_ROUTER_SOCKET)"
        )
    start = here.start if here.has_unit else f"weftmeshd, with --config where it has a file of its own, or {DEV_UP}"
    return NodeUnreachableError(
        f"no node answers at {target} ({why}); start it ({start}) or name another socket (--socket, WEFTMESH_SOCKET)"
    )


def unknown_outcome(target: str, request_id: str) -> UnknownOutcomeError:
    """The error of a write that was sent to a node which then went silent."""
    return UnknownOutcomeError(
        f"the connection to {target} broke under a write, which may or may not have been applied; "
        f"retry it with request id {request_id}: it is applied once at most, and the retry tells",
        metadata={REQUEST_ID_FIELD: request_id},
    )


def first_error(errors: BaseExceptionGroup[WeftmeshError]) -> BaseException:
    """The first error of a group of groups, which is what a person is told of calls made at the same time."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
