"""A call's context for servicers that are tested without a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class CallContext:
    """As much of `grpc.aio.ServicerContext` as enrolment and renewal ask for: who calls."""

    caller: str = "ipv4:192.0.2.7:4711"
    authenticated: Mapping[str, Iterable[bytes]] = field(default_factory=dict)

    def peer(self) -> str:
        return self.caller

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return self.authenticated


def node_context(node: str, cluster: str) -> CallContext:
    """A call by a node, with the properties that gRPC reads from its certificate."""
    uri = f"spiffe://{cluster}/node/{node}".encode()
    return CallContext(authenticated={"peer_uri": [uri], "ssl_tls_version": [b"TLSv1.3"]})
