"""What limits cost a call: `python -m benchmarks.limits`. Processor time on the event loop, in microseconds.

Each row is the best of several runs. The gate is asked from within a call that came over a real connection: what gRPC
takes to say who calls is in it.
"""

from __future__ import annotations  # noqa: I001, tls comes before grpc, which reads its cipher suites once

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import weftmesh.runtime.tls  # noqa: F401
import grpc

from weftmesh.agent.serving.guard import Guard
from weftmesh.agent.serving.local_socket import LocalSocketRelay
from weftmesh.core.rate import Buckets, Rate
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_pem, utc_now
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel, server_credentials
from weftmesh.runtime.identity.material import IdentityMaterial

CLUSTER: Final = "bench"
ROUNDS: Final = 200
RUNS: Final = 7
METHOD: Final = "/weftmesh.board.v1.BoardService/GetTask"


def cpu_us(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Microseconds of one `work`, the best of RUNS."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time_ns()
        for _ in range(rounds):
            work()
        best = min(best, (time.process_time_ns() - began) / rounds / 1000)
    return best


def identity(authority: Authority, node: str) -> NodeIdentity:
    """A node's."""
    key = make_key()
    certificate = authority.issue(make_signing_request(key, node), node, now=utc_now())
    return NodeIdentity(
        IdentityMaterial.assemble(
            authority_pem=authority.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
        )
    )


class Asked(grpc.GenericRpcHandler):
    """Measures the gate in each call."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.rows: list[tuple[str, float]] = []

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """See grpc."""
        return grpc.unary_unary_rpc_method_handler(self._measure)

    async def _measure(self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        whose = request.decode()
        gate = self._guard.calls
        self.rows.append((f"a call of {whose}, let in and out", cpu_us(lambda: gate.enter(METHOD, context).leave())))
        self.rows.append((f"a write on a stream of {whose}", cpu_us(gate.stream_writes(context))))
        return b""


async def main() -> None:
    """Print the rows."""
    most = dict.fromkeys(("WRITES_PER_S", "READS_PER_S", "MEMBER_CALLS_PER_S"), "1000000")
    limits = load_config(
        None, environment={f"WEFTMESH_LIMITS_{key}": value for key, value in most.items()}, host="n1"
    ).limits
    buckets = Buckets(Rate(1e9, 1e9))
    rows = [("a bucket", cpu_us(lambda: buckets.take("ann", time.monotonic())))]
    with tempfile.TemporaryDirectory() as directory:
        relay = LocalSocketRelay(Path(directory) / "api.sock", Path(directory) / "up.sock")
        guard = Guard(limits, CLUSTER, relay.nonce, set)
        asked = Asked(guard)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((asked,))
        authority = Authority.create(CLUSTER, now=utc_now())
        port = server.add_secure_port("127.0.0.1:0", server_credentials(identity(authority, "n1")))
        server.add_insecure_port(f"unix:{directory}/up.sock")
        await server.start()
        await relay.start()
        async with grpc.aio.insecure_channel(f"unix:{directory}/api.sock") as local:
            await local.unary_unary("/bench/Call")(b"a local user")  # type: ignore[arg-type]
        async with open_channel(identity(authority, "n2"), "n1", f"127.0.0.1:{port}") as member:
            await member.unary_unary("/bench/Call")(b"a member")  # type: ignore[arg-type]
        await relay.close()
        await server.stop(None)
        rows += asked.rows
    for what, took_us in rows:
        print(f"{what:42} {took_us:6.1f} us")


if __name__ == "__main__":
    asyncio.run(main())
