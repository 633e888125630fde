"""Faults between three nodes: doctor on one of them names each, and what it proposes for the others mends it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.faults import needs
from tests.faults.clocks import HOUR_S, ShiftedClocks
from tests.integration.examination import PAUSE_S, SETTLE_S, Surroundings, fixes, surroundings

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.runtime.identity.certificates import to_der, utc_now
from weftmesh.runtime.identity.founding import identity_store

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(needs.program("cc")()), reason=needs.program("cc")() or "met"),
]

TELLING_S = 0.002
"""Figures are told to the millisecond."""
OTHER_VERSION = "0.0.9"
CLOCK_PROGRAMS = ("chronyc", "timedatectl")


@dataclass(frozen=True)
class Site:
    """Three nodes whose clocks can be moved."""

    mesh: DevMesh
    clocks: ShiftedClocks
    here: Surroundings

    @property
    def nodes(self) -> tuple[DevNode, DevNode, DevNode]:
        """The nodes; the first one has the authority."""
        first, second, third = self.mesh.nodes.values()
        return first, second, third

    async def mend(self, finding: dict[str, Any]) -> list[str]:
        """Run the fixes of a finding about the first node, each where it says; what they printed."""
        assert finding["fixes"]
        places = [self.mesh.node(fix["node"]) if fix["node"] else self.nodes[0] for fix in finding["fixes"]]
        return [await self.here.mend(*one) for one in zip(places, fixes(finding), strict=True)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    directory = tmp_path_factory.mktemp("doctor")
    clocks = ShiftedClocks(3)
    try:
        async with dev_mesh(directory, 3, place=clocks.place) as mesh, surroundings(programs=directory / "bin") as here:
            yield Site(mesh, clocks, here)
    finally:
        clocks.close()


async def test_a_mesh_that_is_well_has_no_failure(site: Site) -> None:
    found = await site.here.healthy(site.nodes[0])
    well = {one["check"] for one in found.findings if one["severity"] == "ok"}
    assert {"socket", "ports", "dns", "certificates", "peers", "clocks", "quorum", "versions", "credentials"} <= well
    times = [one["evidence"] for one in found.findings if one["check"] == "peers"]
    assert all("connected in" in one and "mutual TLS in" in one and "answer in" in one for one in times)


async def test_a_member_that_is_down_is_named_and_started(site: Site) -> None:
    first, second, third = site.nodes
    await third.stop()

    found = (await site.here.examine(first)).only("peers")
    assert third.name in found["summary"]
    assert "Connection refused" in found["evidence"]
    assert [fix["node"] for fix in found["fixes"]] == [third.name]
    await site.mend(found)

    await site.here.healthy(first)
    await hand_back(site, third)
    assert (await site.here.examine(second)).bad("peers") == []


async def test_without_a_majority_the_missing_voters_are_named_and_started(site: Site) -> None:
    first, second, third = site.nodes
    await asyncio.gather(second.stop(), third.stop())
    await without_quorum(first)

    found = (await site.here.examine(first)).only("quorum")
    assert "1 of 3 voters answer (node1), 2 are needed; no leader" in found["evidence"]
    assert [fix["node"] for fix in found["fixes"]] == [second.name, third.name]
    await site.mend(found)

    await site.here.healthy(first)
    await hand_back(site, second, third)


async def test_a_clock_that_is_ahead_is_measured_and_set(site: Site) -> None:
    first, second, _ = site.nodes
    site.clocks.shift(second.name, HOUR_S)
    try:
        # What sets a real clock cannot set the one that a library shows to one process: these stand in for it.
        programs = site.here.programs
        assert programs is not None
        programs.mkdir()
        shift_file = second.environment["SHIFTED_CLOCK_FILE"]
        for name in CLOCK_PROGRAMS:
            (programs / name).write_text(
                f"#!/bin/sh\nhead -c 8 /dev/zero | dd of={shift_file} conv=notrunc status=none\n"
            )
            (programs / name).chmod(0o755)

        found = (await site.here.examine(first)).only("clocks")
        assert f"{second.name}'s clock is ahead by" in found["summary"]
        measured = re.fullmatch(r"\+([\d.]+) s from the median of 3 clocks, to within ([\d.]+) s", found["evidence"])
        assert measured
        assert abs(float(measured[1]) - HOUR_S) < float(measured[2]) + TELLING_S
        await site.mend(found)

        assert (await site.here.examine(first)).bad("clocks") == []
    finally:
        site.clocks.shift(second.name, 0)


async def test_an_expired_certificate_is_replaced_by_the_commands_that_are_named(site: Site) -> None:
    first, second, _ = site.nodes
    await second.stop()
    expire(first, second)

    examined = await site.here.examine(second)
    found = examined.only("certificates")
    assert "has expired" in found["summary"]
    assert "in force from" in found["evidence"]
    assert examined.bad("peers") == []  # one fault, one finding
    token, start = found["fixes"]
    line = await site.here.mend(first, token["command"])
    await site.here.mend(second, line)
    await site.here.mend(second, start["command"])

    await site.here.healthy(second)
    await hand_back(site, second)


async def test_where_the_authority_is_an_expired_certificate_is_renewed_by_a_start(site: Site) -> None:
    first, _, _ = site.nodes
    await first.stop()
    expire(first, first)

    found = (await site.here.examine(first)).only("certificates")
    assert "has expired" in found["summary"]
    await site.mend(found)

    await site.here.healthy(first)
    await hand_back(site, first)


async def test_a_node_that_lost_its_certificate_comes_back_as_a_new_one(site: Site) -> None:
    first, _, third = site.nodes
    await third.stop()
    (third.directory / "data/identity/node.pem").unlink()

    found = (await site.here.examine(third)).only("credentials")
    assert "node.pem is missing" in found["evidence"]
    remove, aside, token, start = fixes(found)
    await site.here.mend(first, remove)
    await site.here.mend(third, aside)
    await site.here.mend(third, await site.here.mend(first, token))
    await site.here.mend(third, start)

    await site.here.healthy(first)
    await site.here.healthy(third)
    await hand_back(site, third)


async def test_members_of_different_versions_are_named(site: Site, tmp_path: Path) -> None:
    first, _, third = site.nodes
    other = f"from weftmesh.runtime import version\nversion.VERSION = {OTHER_VERSION!r}\n"
    (tmp_path / "sitecustomize.py").write_text(other)
    third.environment["PYTHONPATH"] = str(tmp_path)
    try:
        await site.mesh.restart(third.name)

        found = (await site.here.examine(first)).only("versions")
        assert third.name in found["summary"]
        assert f"{third.name} {OTHER_VERSION}" in found["evidence"]
        assert not fixes(found) or "weftmesh" in fixes(found)[0]  # only where there is a package manager
    finally:
        del third.environment["PYTHONPATH"]
        await site.mesh.restart(third.name)


def expire(founder: DevNode, node: DevNode) -> None:
    """Give a node a certificate that was in force last week."""
    store = identity_store(node.directory / "data")
    authority = identity_store(founder.directory / "data").load_authority()
    material = store.load()
    past = utc_now() - timedelta(days=9)
    store.save_certificate(material.renewed(to_der(authority.issue(material.signing_request(), node.name, now=past))))


async def without_quorum(node: DevNode) -> None:
    """Return once a node has noticed that it has none."""
    async with asyncio.timeout(SETTLE_S), node.client() as client:
        status = await client.mesh.get_status()
        while status.quorum:
            await asyncio.sleep(PAUSE_S)
            status = await client.mesh.get_status()


async def hand_back(site: Site, *nodes: DevNode) -> None:
    """Stop what fixes started, and start the nodes as the mesh knows them."""
    await site.here.stop()
    for node in nodes:
        await site.mesh.restart(node.name)
    await site.mesh.settled()
