"""A route as the four resources that xDS clients know.

Each endpoint is a locality of its own: grpc-python and Envoy both follow the weights of localities, grpc-python does
not follow those of endpoints within one, and load reports are per locality. An endpoint without weight is left out, as
a weight of 0 is not a drain to every client.
"""

from __future__ import annotations

import hashlib
import ipaddress
from functools import lru_cache
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.routing.steps import ROWS_A_STEP, Steps, whole
from weftmesh.router.xds.kinds import TYPE_URL_PREFIX, Entry, Kind
from weftmesh.router.xds.snapshot import RouteSnapshot
from weftmesh.runtime.addresses import split_address
from weftmesh.xds.v3 import discovery_pb2, resources_pb2

WEIGHT_PARTS: Final = 1_000_000
"""Weights are whole numbers on the wire; those of one route sum to about this."""
REGION: Final = "weftmesh"
"""Of every locality; its zone is the endpoint's, its sub-zone the endpoint itself."""
PLACES_MAX: Final = 20_000
"""Endpoints whose localities are remembered, in some hundred bytes each."""
CONNECT_TIMEOUT_S: Final = 1
OUTLIER_INTERVAL_S: Final = 1
OUTLIER_EJECTION_S: Final = 5
OUTLIER_FAILURE_PERCENT: Final = 50
OUTLIER_REQUESTS_MIN: Final = 10

_MANAGER: Final = TYPE_URL_PREFIX + (
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
_ROUTER: Final = TYPE_URL_PREFIX + "envoy.extensions.filters.http.router.v3.Router"
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def entries_of(route: RouteSnapshot) -> dict[Kind, Entry]:
    """Make the four resources of a route.

    Raises:
        InvalidInputError: the address of a row with weight is not a numeric host and a port.
    """
    return whole(entries_in_steps(route))


def entries_in_steps(route: RouteSnapshot) -> Steps[dict[Kind, Entry]]:
    """As `entries_of`; endpoints that were never told of take 18 us each."""
    messages: dict[Kind, Message] = {
        Kind.CLUSTER: _cluster(route),
        Kind.ASSIGNMENT: (yield from _assignment(route)),
        Kind.LISTENER: _listener(route.route),
        Kind.ROUTES: _routes(route.route),
    }
    return {kind: _entry(route.route, message) for kind, message in messages.items()}


def _entry(name: str, message: Message) -> Entry:
    content = message.SerializeToString(deterministic=True)
    return Entry(name, hashlib.sha256(content).hexdigest()[:16], content)


def _packed(type_url: str, message: Message | None = None) -> AnyMessage:
    return AnyMessage(type_url=type_url, value=message.SerializeToString(deterministic=True) if message else b"")


def _from_ads() -> resources_pb2.ConfigSource:
    return resources_pb2.ConfigSource(
        ads=resources_pb2.AggregatedConfigSource(), resource_api_version=resources_pb2.API_VERSION_V3
    )


def _listener(name: str) -> resources_pb2.Listener:
    manager = resources_pb2.HttpConnectionManager(
        stat_prefix=name,
        rds=resources_pb2.Rds(config_source=_from_ads(), route_config_name=name),
        http_filters=[resources_pb2.HttpFilter(name="router", typed_config=_packed(_ROUTER))],
    )
    return resources_pb2.Listener(
        name=name, api_listener=resources_pb2.ApiListener(api_listener=_packed(_MANAGER, manager))
    )


def _routes(name: str) -> resources_pb2.RouteConfiguration:
    everything = resources_pb2.Route(
        match=resources_pb2.RouteMatch(prefix=""),
        # 0: the caller's own deadline counts. Left out, Envoy would end every request after 15 s.
        route=resources_pb2.RouteAction(cluster=name, timeout=Duration()),
    )
    return resources_pb2.RouteConfiguration(
        name=name,
        virtual_hosts=[resources_pb2.VirtualHost(name=name, domains=["*"], routes=[everything])],
        # Envoy would refuse a route that it hears of before it hears of the cluster.
        validate_clusters=BoolValue(value=False),
    )


def _cluster(route: RouteSnapshot) -> resources_pb2.Cluster:
    either = resources_pb2.HttpProtocolOptions.UseDownstreamHttpConfig
    options = resources_pb2.HttpProtocolOptions(
        # Envoy speaks to endpoints what its caller speaks to it: HTTP/1.1, or HTTP/2 and so gRPC.
        use_downstream_protocol_config=either(
            http_protocol_options=either.Http1ProtocolOptions(), http2_protocol_options=either.Http2ProtocolOptions()
        )
    )
    cluster = resources_pb2.Cluster(
        name=route.route,
        type=resources_pb2.Cluster.EDS,
        eds_cluster_config=resources_pb2.Cluster.EdsClusterConfig(eds_config=_from_ads(), service_name=route.route),
        connect_timeout=Duration(seconds=CONNECT_TIMEOUT_S),
        lb_policy=resources_pb2.Cluster.ROUND_ROBIN,
        common_lb_config=resources_pb2.Cluster.CommonLbConfig(
            locality_weighted_lb_config=resources_pb2.Cluster.CommonLbConfig.LocalityWeightedLbConfig()
        ),
        typed_extension_protocol_options={_HTTP_OPTIONS: _packed(TYPE_URL_PREFIX + _HTTP_OPTIONS, options)},
        lrs_server=resources_pb2.ConfigSource(
            self=resources_pb2.SelfConfigSource(transport_api_version=resources_pb2.API_VERSION_V3)
        ),
    )
    if route.max_ejection_percent is not None:
        cluster.outlier_detection.CopyFrom(_outlier_detection(route.max_ejection_percent))
    if route.requests_max is not None:
        limit = UInt32Value(value=route.requests_max)
        cluster.circuit_breakers.thresholds.add(max_connections=limit, max_pending_requests=limit, max_requests=limit)
    return cluster


def _outlier_detection(max_ejection_percent: float) -> resources_pb2.OutlierDetection:
    """Leave an endpoint out that fails half of its requests; the other detectors of xDS clients are switched off."""
    off = UInt32Value(value=0)
    return resources_pb2.OutlierDetection(
        interval=Duration(seconds=OUTLIER_INTERVAL_S),
        base_ejection_time=Duration(seconds=OUTLIER_EJECTION_S),
        max_ejection_percent=UInt32Value(value=int(max_ejection_percent)),
        enforcing_consecutive_5xx=off,
        enforcing_consecutive_gateway_failure=off,
        enforcing_success_rate=off,
        failure_percentage_threshold=UInt32Value(value=OUTLIER_FAILURE_PERCENT),
        enforcing_failure_percentage=UInt32Value(value=100),
        failure_percentage_minimum_hosts=UInt32Value(value=2),
        failure_percentage_request_volume=UInt32Value(value=OUTLIER_REQUESTS_MIN),
    )


def _assignment(route: RouteSnapshot) -> Steps[resources_pb2.ClusterLoadAssignment]:
    assignment = resources_pb2.ClusterLoadAssignment(cluster_name=route.route)
    for at, row in enumerate(route.rows):
        if not at % ROWS_A_STEP:
            yield
        if row.weight > 0.0:
            locality = assignment.endpoints.add()
            locality.MergeFromString(_place(route.route, row.endpoint, row.address, row.zone))
            # Never 0: whoever asks for a small share means some requests.
            locality.load_balancing_weight.value = max(1, round(row.weight * WEIGHT_PARTS))
    return assignment


@lru_cache(PLACES_MAX)
def _place(route: str, endpoint: str, address: str, zone: str) -> bytes:
    """An endpoint's locality, without its weight: all that stays when weights change."""
    host, port = split_address(address)
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise InvalidInputError(
            f"route {route}, endpoint {endpoint}: {host!r} is a name, and xDS clients look no names up;"
            " give its address as a number",
            reason="ADDRESS_NOT_NUMERIC",
        ) from error
    socket = resources_pb2.SocketAddress(address=host, port_value=port)
    place = resources_pb2.EndpointAddress(address=resources_pb2.Address(socket_address=socket))
    return resources_pb2.LocalityLbEndpoints(
        locality=discovery_pb2.Locality(region=REGION, zone=zone, sub_zone=endpoint),
        lb_endpoints=[resources_pb2.LbEndpoint(endpoint=place)],
    ).SerializeToString()
