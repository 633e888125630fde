"""Nodes whose certificates a company issues: they found a mesh, join it, and take new certificates while they run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.company import Asked, Company, put_files
from tests.integration.bare_nodes import bare_node, offline, running
from tests.integration.command_line import weftmesh

from weftmesh.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PATIENCE_S = 60.0


def certified_node(directory: Path, name: str, company: Company) -> DevNode:
    """A configured node with a certificate of `company`; it belongs to no mesh yet."""
    node = bare_node(directory, name)
    issue(node, company, timedelta(days=30))
    files = node.directory / "pki"
    with node.config_path.open("a") as config:
        config.write(
            f'\n[tls]\nmode = "files"\ncert_file = "{files}/cert.pem"\nkey_file = "{files}/key.pem"\n'
            f'ca_file = "{files}/ca.pem"\n'
        )
    return node


def issue(node: DevNode, company: Company, lifetime: timedelta) -> None:
    names = (f"spiffe://lab/node/{node.name}",), (f"{node.name}.lab.weftmesh",)
    (node.directory / "pki").mkdir(exist_ok=True)
    put_files(node.directory / "pki", Asked(uris=names[0], dns=names[1], ends=lifetime), company)


async def until(holds: Callable[[], Any], what: str) -> float:
    begun = time.monotonic()
    while not await holds():
        assert time.monotonic() - begun < PATIENCE_S, what
        await asyncio.sleep(0.1)
    return time.monotonic() - begun


async def own(node: DevNode) -> dict[str, Any]:
    shown = await weftmesh(node, "--json", "cert", "show", "--node", node.name)
    found: dict[str, Any] = shown.json()["own"]
    return found


async def test_a_mesh_of_certificates_that_were_issued_elsewhere(tmp_path: Path) -> None:
    company = Company(now=datetime.now(UTC))
    first, second = (certified_node(tmp_path, name, company) for name in ("n1", "n2"))
    assert (await offline(first, "init", "--cluster", "lab")).code == 0
    assert not (first.directory / "data" / "identity" / "ca.key").exists()
    async with running(first):
        assert (await weftmesh(first, "token", "create")).code == 1
        line = (await weftmesh(first, "token", "create", "--for", "n2")).out.splitlines()[0]
        assert line == f"weftmesh join n1@{first.listen}"
        assert (await offline(second, *line.split()[1:])).code == 0
        async with running(second):
            await until(lambda: votes(first, "n2"), "n2 was not taken in")
            await new_certificates_are_in_force_while_the_nodes_run(first, second, company)
            assert (await weftmesh(first, "cert", "rotate-ca", "begin")).code == 1
            assert (await weftmesh(first, "cert", "renew")).code == 1
            await a_revoked_node_is_believed_again_with_another_key(first, second, company)


async def votes(node: DevNode, name: str) -> bool:
    listed = (await weftmesh(node, "--json", "members")).json()["members"]
    return any(one["name"] == name and one["role"] == "voter" for one in listed)


async def new_certificates_are_in_force_while_the_nodes_run(first: DevNode, second: DevNode, company: Company) -> None:
    before = await own(second)
    issue(second, company, timedelta(days=60))

    async def is_renewed() -> bool:
        return bool((await own(second))["serial"] != before["serial"])

    took_s = await until(is_renewed, "n2 did not take its new certificate over")
    print(f"\nnew files in force after {took_s:.1f} s")
    assert (await weftmesh(second, "project", "add", "LAB")).code == 0


async def a_revoked_node_is_believed_again_with_another_key(first: DevNode, second: DevNode, company: Company) -> None:
    assert "1 of 2 voters are left" in (await weftmesh(first, "cert", "revoke", "n2")).err
    assert (await weftmesh(first, "members", "demote", "n2")).code == 0
    assert (await weftmesh(first, "cert", "revoke", "n2", "--reason", "a rehearsal")).code == 0
    await until(lambda: is_linked(first, False), "n2 was not cut off")
    issue(second, company, timedelta(days=60))
    certificate = str(second.directory / "pki" / "cert.pem")
    assert (await weftmesh(first, "cert", "readmit", "--certificate", certificate)).code == 0
    await until(lambda: is_linked(first, True), "n2 did not come back")


async def is_linked(node: DevNode, wanted: bool) -> bool:
    listed = (await weftmesh(node, "--json", "members")).json()["members"]
    return [bool(one["connected"]) for one in listed if not one["self"]] == [wanted]
