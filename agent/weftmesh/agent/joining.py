"""Makes an enrolled node a voter: asks a member over the mesh until the mesh has taken it in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import grpc
import structlog

from weftmesh.agent.raft.engine import RaftEngine, Role
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc

RETRY_S: Final = 0.5
RETRY_MAX_S: Final = 10.0
ATTEMPT_S: Final = 10.0

log = structlog.get_logger("weftmesh.joining")

ChannelFactory = Callable[[str, str], grpc.aio.Channel]


async def become_member(
    engine: RaftEngine, address: str, seeds: Sequence[tuple[str, str]], open_channel: ChannelFactory
) -> None:
    """Return once this node votes.

    Args:
        engine: this node's.
        address: host:port where the others reach this node.
        seeds: (name, address) of members known at enrolment.
        open_channel: an authenticated channel to a named node.
    """
    pause_s = RETRY_S
    while engine.status().role is Role.JOINING:
        for name, seed_address in seeds:
            if await _ask(open_channel(name, seed_address), name, address):
                break
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, RETRY_MAX_S)
    log.info("this node votes", voters=sorted(engine.status().voters))


async def _ask(channel: grpc.aio.Channel, name: str, address: str) -> bool:
    try:
        stub = mesh_pb2_grpc.MeshServiceStub(channel)
        await stub.AddMember(mesh_pb2.AddMemberRequest(address=address), timeout=ATTEMPT_S)
    except grpc.aio.AioRpcError as error:
        log.warning("not taken in yet", asked=name, code=error.code().name, why=error.details())
        return False
    finally:
        await channel.close()
    return True
