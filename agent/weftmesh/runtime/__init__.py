"""Plumbing that all processes share: configuration, identity, RPC, telemetry, and the wire form of the core."""
