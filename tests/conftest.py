"""Loads what has to be there before grpc: see weftmesh.runtime.tls."""

from weftmesh.runtime import tls as tls
