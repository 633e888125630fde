"""Plumbing that all processes share: configuration, identity, RPC, telemetry, and the wire form of the core."""

from weftmesh.runtime import tls as tls  # before anything here imports grpc
