"""What errors of gRPC itself mean to a caller."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from weftmesh.client.errors import LOST_WHILE_SENDING, from_call_error, is_retryable, unreachable
from weftmesh.core.errors import NodeUnreachableError
from weftmesh.runtime.units import SYSTEMD_RUNS


def error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


def test_a_call_that_ended_while_it_was_sent_something_may_be_made_again() -> None:
    lost = from_call_error(error(grpc.StatusCode.INTERNAL, LOST_WHILE_SENDING), "/run/api.sock")
    assert isinstance(lost, NodeUnreachableError)
    assert is_retryable(lost)
    assert "/run/api.sock" in str(lost)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT])
def test_what_a_node_itself_answers_is_not_tried_again(code: grpc.StatusCode) -> None:
    assert not is_retryable(from_call_error(error(code, "it is broken"), "/run/api.sock"))


async def test_grpc_says_it_in_these_words() -> None:
    async with grpc.aio.insecure_channel("unix:/nowhere") as channel:
        call: Any = channel.stream_stream("/weftmesh/Nothing")()
        # What its own `write` does when the call ends under it.
        call._cython_call.set_internal_error("a message was not sent")
        assert (await call.code(), await call.details()) == (grpc.StatusCode.INTERNAL, LOST_WHILE_SENDING)


@pytest.mark.parametrize("socket", ["/run/weftmesh/api.sock", "/run/weftmesh/router.sock"])
def test_systemd_is_not_proposed_where_it_does_not_run(socket: str) -> None:
    if SYSTEMD_RUNS.exists():
        pytest.skip("systemd runs on this machine")
    assert "systemctl" not in str(unreachable(socket, "connection refused"))
