"""A revocation at the port of a real router: who followed its table is cut, and gets none again."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest
from tests.hostile.routed import ROUTE, routed
from tests.hostile.site import site

from weftmesh.mesh.v1 import trust_pb2

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]
WAIT_S = 60.0


async def test_a_node_that_is_revoked_is_cut_from_the_tables(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory: Path = tmp_path_factory.mktemp("doors")
    async with (
        site(directory) as place,
        routed(place.victim, place.honest, place.router_socket, place.xds) as followers,
        place.victim.client() as client,
    ):
        await followers.measured(1.0)
        assert followers.tables
        await client.trust.revoke_certificates(
            trust_pb2.RevokeCertificatesRequest(node=place.honest.name, reason="a test of doors"), timeout_s=WAIT_S
        )
        began_s = time.monotonic()
        while not followers.failures and time.monotonic() - began_s < WAIT_S:
            await followers.measured(0.05)
        print(f"cut from {ROUTE} after {time.monotonic() - began_s:.2f} s: {followers.failures}")
        assert followers.failures
        assert grpc.StatusCode.UNAUTHENTICATED.name in followers.failures[0]
        assert "is revoked" in followers.failures[0]
        assert await followers.measured(0.5), "Resolve goes on"
        assert len(followers.failures) == 1
