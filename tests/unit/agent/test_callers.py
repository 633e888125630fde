"""Who calls is what the kernel and the certificate say, never what a request says."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.fakes.servicer_context import CallContext, node_context

from weftmesh.agent.serving.accounts import user_name
from weftmesh.agent.serving.callers import Caller, Callers
from weftmesh.agent.serving.local_socket import LocalSocketRelay
from weftmesh.core.errors import ForbiddenError, UnauthenticatedError, WeftmeshError

CLUSTER = "lab"
NONCE = b"n" * 32


def context_of(call: CallContext) -> Any:
    """As much of a gRPC context as `Callers` asks for."""
    return call


def callers(*members: str, nonce: bytes = NONCE) -> Callers:
    return Callers("n1", CLUSTER, nonce, members.__contains__)


def test_a_member_is_known_by_its_certificate() -> None:
    caller = callers("n1", "n2").of(context_of(node_context("n2", CLUSTER)))

    assert caller == Caller(actor="node:n2", user="", node="n2")


def test_a_node_that_is_no_member_is_refused_but_may_ask_to_become_one() -> None:
    context = context_of(node_context("n3", CLUSTER))

    with pytest.raises(ForbiddenError, match="n3 is not a member") as refused:
        callers("n1", "n2").of(context)

    assert refused.value.reason == "NOT_A_MEMBER"
    assert callers("n1", "n2").of_anybody_enrolled(context).node == "n3"


def test_membership_is_asked_for_at_every_call() -> None:
    members = {"n1", "n2"}
    seen = Callers("n1", CLUSTER, NONCE, members.__contains__)
    context = context_of(node_context("n2", CLUSTER))
    assert seen.of(context).node == "n2"

    members.remove("n2")

    with pytest.raises(ForbiddenError):
        seen.of(context)


def test_a_node_of_another_cluster_is_nobody() -> None:
    with pytest.raises(UnauthenticatedError):
        callers("n2").of(context_of(node_context("n2", "other")))


def test_what_reaches_the_private_socket_by_another_way_is_nobody() -> None:
    forged = f"unix-abstract:weftmesh.0.0.1.1.{'0' * 32}"
    for peer in ("unix:", "unix-abstract:weftmesh", forged):
        with pytest.raises(UnauthenticatedError):
            callers("n1").of(context_of(CallContext(caller=peer)))


def test_a_node_may_not_do_what_is_for_local_users() -> None:
    with pytest.raises(ForbiddenError, match="local socket"):
        callers("n2").local(context_of(node_context("n2", CLUSTER)))


def test_a_process_of_this_machine_is_known_and_a_node_is_none() -> None:
    with pytest.raises(ForbiddenError, match="processes of this machine"):
        callers("n2").process(context_of(node_context("n2", CLUSTER)))


class _Answering(grpc.GenericRpcHandler):
    """Answers any call with the actor behind it, or the reason of the refusal."""

    def __init__(self) -> None:
        self.callers: Callers | None = None

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def answer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            assert self.callers is not None
            try:
                caller = self.callers.local(context)
            except WeftmeshError as error:
                return error.reason.encode()
            return f"{caller.actor} {caller.user} {caller.node}".encode()

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
async def answering(tmp_path: Path) -> AsyncIterator[LocalSocketRelay]:
    handler = _Answering()
    server = grpc.aio.server(handlers=[handler])
    server.add_insecure_port(f"unix:{tmp_path / 'private'}")
    relay = LocalSocketRelay(tmp_path / "public", tmp_path / "private")
    handler.callers = callers("n1", nonce=relay.nonce)
    await server.start()
    await relay.start()
    yield relay
    await relay.close()
    await server.stop(0)


async def ask(socket: Path) -> str:
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        method: Any = channel.unary_unary("/test.Test/WhoAmI")
        return bytes(await method(b"", timeout=10)).decode()


async def test_a_local_user_is_known_by_the_kernel(answering: LocalSocketRelay, tmp_path: Path) -> None:
    user = user_name(os.getuid())

    assert await ask(tmp_path / "public") == f"{user}@n1 {user} "
    assert await ask(tmp_path / "private") == "UNAUTHENTICATED"
