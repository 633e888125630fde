"""Members say what they show, also those that are far away or busy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
from tests.unit.agent.test_trust_gate import authority, material

from weftmesh.agent.trust.roll_call import RollCall
from weftmesh.core.trust.quorum import Shows
from weftmesh.mesh.v1 import trust_pb2, trust_pb2_grpc
from weftmesh.runtime.identity.credentials import NodeIdentity

LONG_S = 2.5
"""Two handshakes and a call where each way takes a third of a second; less than a connection may take."""


class Far(trust_pb2_grpc.TrustServiceServicer):  # type: ignore[misc]  # generated, untyped
    async def GetCertificates(self, request: Any, context: Any) -> trust_pb2.CertificatesView:  # noqa: N802
        await asyncio.sleep(LONG_S)
        return trust_pb2.CertificatesView(own=trust_pb2.ShownCertificate(serial="a2", key_sha256="2" * 64))


async def test_a_member_that_is_slow_is_no_silent_one(tmp_path: Path) -> None:
    server = grpc.aio.server()
    trust_pb2_grpc.add_TrustServiceServicer_to_server(Far(), server)
    server.add_insecure_port(f"unix:{tmp_path}/far")
    await server.start()
    identity = NodeIdentity(material(authority(), "n1"))
    roll = RollCall(identity, lambda _name, address: grpc.aio.insecure_channel(address))

    shown = await roll.shown({"n1": "", "n2": f"unix:{tmp_path}/far", "n3": f"unix:{tmp_path}/nobody"})

    assert shown == {"n1": Shows(identity.material.serial, identity.material.key_sha256), "n2": Shows("a2", "2" * 64)}
    await server.stop(None)
