"""Requests and responses of both forms, between protobuf and the machines."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as AnyMessage

from weftmesh.router.xds.delta import DeltaRequest, DeltaResponse
from weftmesh.router.xds.kinds import BY_TYPE_URL, Entry, Kind
from weftmesh.router.xds.world import WorldRequest, WorldResponse
from weftmesh.xds.v3 import discovery_pb2


def world_request(message: discovery_pb2.DiscoveryRequest) -> WorldRequest | None:
    """Read a request; None when it is about something that the router does not have."""
    kind = BY_TYPE_URL.get(message.type_url)
    if kind is None:
        return None
    error = message.error_detail.message if message.HasField("error_detail") else None
    return WorldRequest(kind, tuple(message.resource_names), message.response_nonce, error)


def world_response(response: WorldResponse) -> discovery_pb2.DiscoveryResponse:
    """Write a response."""
    return discovery_pb2.DiscoveryResponse(
        version_info=response.version,
        resources=[_resource(response.kind, entry) for entry in response.entries],
        type_url=response.kind.value,
        nonce=response.nonce,
    )


def delta_request(message: discovery_pb2.DeltaDiscoveryRequest) -> DeltaRequest | None:
    """Read a request; None when it is about something that the router does not have."""
    kind = BY_TYPE_URL.get(message.type_url)
    if kind is None:
        return None
    return DeltaRequest(
        kind,
        tuple(message.resource_names_subscribe),
        tuple(message.resource_names_unsubscribe),
        dict(message.initial_resource_versions),
        message.response_nonce,
        message.error_detail.message if message.HasField("error_detail") else None,
    )


def delta_response(response: DeltaResponse) -> discovery_pb2.DeltaDiscoveryResponse:
    """Write a response."""
    return discovery_pb2.DeltaDiscoveryResponse(
        resources=[
            discovery_pb2.Resource(name=one.name, version=one.version, resource=_resource(response.kind, one))
            for one in response.entries
        ],
        type_url=response.kind.value,
        removed_resources=response.removed,
        nonce=response.nonce,
    )


def _resource(kind: Kind, entry: Entry) -> AnyMessage:
    return AnyMessage(type_url=kind.value, value=entry.content)
