"""Makes an enrolled node a member: asks one over the mesh until the mesh has taken it in as what it wants to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import grpc
import structlog

from weftmesh.agent.raft.engine import RaftEngine, Role
from weftmesh.core.features.levels import SUPPORTED_LEVEL
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc

RETRY_S: Final = 0.5
RETRY_MAX_S: Final = 10.0
ATTEMPT_S: Final = 10.0

log = structlog.get_logger("weftmesh.joining")

ChannelFactory = Callable[[str, str], grpc.aio.Channel]


async def become_member(
    engine: RaftEngine,
    address: str,
    seeds: Sequence[tuple[str, str]],
    open_channel: ChannelFactory,
    *,
    observer: bool = False,
) -> None:
    """Return once this node votes, or is the observer that it wants to be.

    A node that is to vote gets the log as an observer first; whoever is asked waits a while for it to catch up, and is
    asked again until it has.

    Args:
        engine: this node's.
        address: host:port where the others reach this node.
        seeds: (name, address) of members known at enrolment.
        open_channel: an authenticated channel to a named node.
        observer: it wants to stay an observer.
    """
    request = mesh_pb2.AddMemberRequest(address=address, observer=observer, supported_feature_level=SUPPORTED_LEVEL)
    pause_s = RETRY_S
    while engine.status().role is Role.JOINING:
        for name, seed_address in seeds:
            if await _ask(open_channel(name, seed_address), name, request):
                break
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, RETRY_MAX_S)
    status = engine.status()
    log.info("this node is a member", role=status.role.value, voters=sorted(status.voters))


async def _ask(channel: grpc.aio.Channel, name: str, request: mesh_pb2.AddMemberRequest) -> bool:
    try:
        stub = mesh_pb2_grpc.MeshServiceStub(channel)
        await stub.AddMember(request, timeout=ATTEMPT_S)
    except grpc.aio.AioRpcError as error:
        log.warning("not taken in yet", asked=name, code=error.code().name, why=error.details())
        return False
    finally:
        await channel.close()
    return True
