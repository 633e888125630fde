"""What a gRPC client or Envoy has to be told once, so that it follows a router's tables over xDS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.identity.certificates import node_dns_name

XDS_SOCKET_NAME: Final = "xds.sock"
"""In the run_dir of a node whose router serves xDS."""
RETRY_MIN: Final = "0.2s"
RETRY_MAX: Final = "5s"
"""How soon and how seldom Envoy dials a router that is away."""

Json = str | int | float | bool | list["Json"] | dict[str, "Json"]
Document = dict[str, Json]

_TYPES: Final = "type.googleapis.com/envoy.extensions."
_CONTROL_PLANE: Final = "weftmesh-xds"
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class LocalRouter:
    """A router of this machine: its socket's mode says who may connect, so there is no TLS."""

    socket: Path


@dataclass(frozen=True, slots=True)
class RemoteRouter:
    """A router somewhere, under mutual TLS.

    Attributes:
        address: host:port.
        node: the name of the node whose router it is.
        cluster: of that node, and of the caller's certificate.
        identity: where the caller's ca.pem, node.pem and node.key are.
    """

    address: str
    node: str
    cluster: str
    identity: Path

    @property
    def name(self) -> str:
        """What the router's certificate says."""
        return node_dns_name(self.node, self.cluster)

    @property
    def target(self) -> str:
        """How gRPC has to dial it: by the name in the certificate, which has to resolve where the client runs."""
        return f"dns:///{self.name}:{split_address(self.address)[1]}"


Router = LocalRouter | RemoteRouter


def grpc_bootstrap(router: Router, client_id: str) -> Document:
    """The contents of the file that GRPC_XDS_BOOTSTRAP names.

    Args:
        router: whom to follow.
        client_id: what the router calls the client in its logs.
    """
    if isinstance(router, LocalRouter):
        target, credentials = f"unix:{router.socket}", Document(type="insecure")
    else:
        files: Document = {
            "ca_certificate_file": str(router.identity / "ca.pem"),
            "certificate_file": str(router.identity / "node.pem"),
            "private_key_file": str(router.identity / "node.key"),
            "refresh_interval": "60s",
        }
        target, credentials = router.target, {"type": "tls", "config": files}
    server: Document = {"server_uri": target, "channel_creds": [credentials], "server_features": ["xds_v3"]}
    return {"xds_servers": [server], "node": {"id": client_id, "cluster": "weftmesh"}}


def envoy_bootstrap(
    router: Router, service: str, client_id: str, listen: str = "127.0.0.1:10000", *, incremental: bool = False
) -> Document:
    """A configuration for Envoy that serves one service on one address.

    Args:
        router: whom to follow.
        service: the route's name.
        client_id: what the router calls this Envoy in its logs.
        listen: where callers connect, with HTTP/1.1 or HTTP/2 and so gRPC, in clear.
        incremental: use the incremental form of xDS.
    """
    control_plane: Document = {
        "envoy_grpc": {
            "cluster_name": _CONTROL_PLANE,
            "retry_policy": {"retry_back_off": {"base_interval": RETRY_MIN, "max_interval": RETRY_MAX}},
        }
    }
    services: list[Json] = [control_plane]
    return {
        "node": {"id": client_id, "cluster": "weftmesh"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if incremental else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": services,
            },
            "cds_config": _from_ads(),
        },
        "cluster_manager": {
            "load_stats_config": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": services}
        },
        "static_resources": {
            "listeners": [_listener(service, listen)],
            "clusters": [_control_plane_cluster(router)],
        },
    }


def _from_ads() -> Document:
    return {"ads": {}, "resource_api_version": "V3"}


def _socket_address(address: str) -> Document:
    host, port = split_address(address)
    return {"socket_address": {"address": host, "port_value": port}}


def _listener(service: str, listen: str) -> Document:
    manager: Document = {
        "@type": _TYPES + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": service,
        "rds": {"route_config_name": service, "config_source": _from_ads()},
        "http_filters": [{"name": "router", "typed_config": {"@type": _TYPES + "filters.http.router.v3.Router"}}],
    }
    return {
        "name": service,
        "address": _socket_address(listen),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _control_plane_cluster(router: Router) -> Document:
    http2: Document = {"connection_keepalive": {"interval": "10s", "timeout": "5s"}}
    cluster: Document = {
        "name": _CONTROL_PLANE,
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": "type.googleapis.com/" + _HTTP_OPTIONS,
                "explicit_http_config": {"http2_protocol_options": http2},
            }
        },
    }
    if isinstance(router, LocalRouter):
        cluster["type"] = "STATIC"
        address: Document = {"pipe": {"path": str(router.socket)}}
    else:
        cluster["type"] = "STRICT_DNS"
        cluster["transport_socket"] = _tls(router)
        address = _socket_address(router.address)
    endpoint: Document = {"endpoint": {"address": address}}
    cluster["load_assignment"] = {"cluster_name": _CONTROL_PLANE, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return cluster


def _tls(router: RemoteRouter) -> Document:
    files = router.identity
    certificate: Document = {
        "certificate_chain": {"filename": str(files / "node.pem")},
        "private_key": {"filename": str(files / "node.key")},
        "watched_directory": {"path": str(files)},
    }
    trusted: Document = {
        "trusted_ca": {"filename": str(files / "ca.pem")},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": router.name}}],
    }
    context: Document = {
        "@type": _TYPES + "transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": router.name,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [certificate],
            "validation_context": trusted,
        },
    }
    return {"name": "tls", "typed_config": context}
