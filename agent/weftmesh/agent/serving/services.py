"""A gRPC service as a room of the node offers it: what it is called, who serves it, and at which doors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor


class Door(Flag):
    """Where a node is called."""

    LOCAL = auto()
    """The local socket: people and processes of this machine."""
    MESH = auto()
    """The mesh port: whoever has a certificate of the cluster."""
    BOTH = LOCAL | MESH


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    Attributes:
        name: full, as reflection and health know it.
        register: hands the servicer to a server.
        door: where it may be called.
    """

    name: str
    register: Callable[[grpc.aio.Server], None]
    door: Door


def service(file: FileDescriptor, name: str, stubs: Any, servicer: object, door: Door) -> Service:
    """The service `name` of a .proto file.

    Args:
        file: its descriptor.
        name: short, as in the file.
        stubs: the module generated from it for gRPC.
        servicer: answers the calls.
        door: where it may be called.
    """
    add = getattr(stubs, f"add_{name}Servicer_to_server")
    return Service(file.services_by_name[name].full_name, lambda server: add(servicer, server), door)
