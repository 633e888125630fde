"""gRPC credentials and channels made of an identity: mutual TLS 1.3 between nodes, one-sided for enrolment.

A server shows a renewed certificate from the next handshake on. A channel keeps the one it was opened with, also when
it reconnects: whoever keeps a channel for longer than a connection reopens it after `NodeIdentity.generation` changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import grpc

from weftmesh.runtime import tls
from weftmesh.runtime.identity.authority import KeyPair
from weftmesh.runtime.identity.certificates import ENROLLMENT_DNS_NAME, node_dns_name, split_node_uri
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.rpc import channel_options

Option = tuple[str, int | str]
AuthContext = Mapping[str, Iterable[bytes]]


class NodeIdentity:
    """This node's identity as it is now. Replaced on renewal; read by gRPC's own threads."""

    def __init__(self, material: IdentityMaterial) -> None:
        self._current = (0, material)

    @property
    def material(self) -> IdentityMaterial:
        """The identity in force."""
        return self._current[1]

    @property
    def generation(self) -> int:
        """Counts renewals since the process began."""
        return self._current[0]

    @property
    def node(self) -> str:
        """This node's name."""
        return self.material.node

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self.material.cluster

    def replace(self, material: IdentityMaterial) -> None:
        """Put a renewed identity in force: one assignment, so that a reader sees the old or the new pair."""
        self._current = (self.generation + 1, material)

    def reopen_channels(self) -> None:
        """Have whoever keeps channels open them anew: somebody at the other end may no longer be called."""
        self.replace(self.material)


class _CertificateFetcher:
    """Tells gRPC, before each handshake, whether there is a newer certificate."""

    def __init__(self, identity: NodeIdentity) -> None:
        self._identity = identity
        self._shown = identity.generation

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        generation = self._identity.generation
        if generation == self._shown:
            return None
        self._shown = generation
        return _server_configuration(self._identity.material)


def server_credentials(identity: NodeIdentity) -> grpc.ServerCredentials:
    """Demand a client certificate of an authority that is trusted; what is replaced in `identity` needs no restart."""
    tls.require_tls13()
    fetcher = _CertificateFetcher(identity)
    return grpc.dynamic_ssl_server_credentials(
        _server_configuration(identity.material),
        fetcher,  # type: ignore[arg-type]  # the stubs do not know that None means "as before"
        require_client_authentication=True,
    )


def enrollment_server_credentials(pair: KeyPair) -> grpc.ServerCredentials:
    """Prove the server alone: a joiner has no certificate yet."""
    tls.require_tls13()
    return grpc.ssl_server_credentials([(pair.key_pem, pair.chain_pem)])


def open_channel(identity: NodeIdentity, node: str, address: str, options: Sequence[Option] = ()) -> grpc.aio.Channel:
    """Open a channel to the node of that name at "host:port"; whoever else answers there is refused.

    Args:
        identity: who calls; the certificate in force now is used for the channel's whole life.
        node: the name that the peer's certificate must have.
        address: where to dial.
        options: override those of `weftmesh.runtime.rpc.channel_options`.
    """
    material = identity.material
    credentials = grpc.ssl_channel_credentials(material.authority_pem, material.key_pem, material.certificate_pem)
    return _channel(address, credentials, node_dns_name(node, material.cluster), options)


def refused_channel(node: str) -> grpc.aio.Channel:
    """A channel on which every call fails at once: to a node that may not be called, for callers that expect one."""
    return grpc.aio.insecure_channel(f"unix:/dev/null/certificates-of-{node}-are-revoked", list(channel_options()))


def open_enrollment_channel(authority_pem: bytes, address: str, options: Sequence[Option] = ()) -> grpc.aio.Channel:
    """Open a channel to an enrolment port whose authority was compared with the pin."""
    return _channel(address, grpc.ssl_channel_credentials(authority_pem), ENROLLMENT_DNS_NAME, options)


def peer_node(auth_context: AuthContext, cluster: str) -> str | None:
    """Return the name of the node at the other end, None when it is no node of `cluster`.

    Args:
        auth_context: `grpc.aio.ServicerContext.auth_context()`.
        cluster: this node's cluster.
    """
    named = named_node(auth_context)
    return named[0] if named is not None and named[1] == cluster else None


def named_node(auth_context: AuthContext) -> tuple[str, str] | None:
    """Return (node, cluster) of the certificate at the other end; None if it names none or more, or TLS is not 1.3."""
    if any(version != b"TLSv1.3" for version in auth_context.get("ssl_tls_version", ())):
        return None
    uris = [value.decode(errors="replace") for value in auth_context.get("peer_uri", ())]
    pairs = [pair for uri in uris if (pair := split_node_uri(uri))]
    return pairs[0] if len(pairs) == 1 else None


def _server_configuration(material: IdentityMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.key_pem, material.certificate_pem)], root_certificates=material.authority_pem
    )


def _channel(
    address: str, credentials: grpc.ChannelCredentials, expected_name: str, options: Sequence[Option]
) -> grpc.aio.Channel:
    merged: dict[str, int | str] = dict(channel_options())
    # Channels with different certificates to one address must not share a connection.
    merged["grpc.use_local_subchannel_pool"] = 1
    merged["grpc.ssl_target_name_override"] = expected_name
    return grpc.aio.secure_channel(address, credentials, list((merged | dict(options)).items()))
