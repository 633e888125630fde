"""The control of the router's doors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import grpc

from weftmesh.cli.controls.evidence import Evidence, State, Subject, unknown
from weftmesh.cli.controls.records import CALL_TIMEOUT_S, TOO_LARGE
from weftmesh.routing.v1 import routing_pb2, routing_pb2_grpc
from weftmesh.runtime.rpc import from_rpc_error

SOCKET: Final = "router.sock"


async def router_limits(subject: Subject) -> Evidence:
    """A request to the router that is larger than the limit is refused before anybody looks into it."""
    if subject.config is None:
        return unknown(f"{subject.config_file} cannot be read", "the configuration")
    path, limits = Path(subject.socket).with_name(SOCKET), subject.config.router
    command = "weftmesh config show"
    if not path.is_socket():
        return Evidence(State.NOT_IN_USE, "no router runs beside this node", str(path), "weftmesh route table")
    request = routing_pb2.ResolveRequest(route="x" * (limits.max_message_bytes + 1024))
    source = f"a request of {request.ByteSize()} bytes to {path}"
    # A channel of its own: the client library would not send it.
    async with grpc.aio.insecure_channel(f"unix:{path}", options=[("grpc.max_send_message_length", -1)]) as channel:
        stub: Any = routing_pb2_grpc.RoutingServiceStub(channel)
        try:
            await stub.Resolve(request, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            code, reason = error.code(), from_rpc_error(error).reason
        else:
            code, reason = grpc.StatusCode.OK, ""
    if reason == TOO_LARGE:
        rates = f"{limits.watchers} who follow, {limits.connections} connections"
        return Evidence(State.HOLDS, f"refused; also set: {rates}", source, command)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return unknown(f"no answer that says so ({code.name.lower()})", source, command)
    value = f"it was read ({code.name.lower()}), although the limit is {limits.max_message_bytes} bytes"
    return Evidence(State.FAILS, value, source, command)
