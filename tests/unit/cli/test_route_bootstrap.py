"""`weftmesh route bootstrap`; that what it prints works is shown in tests/peers with gRPC and Envoy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.fakes.certificates import CertificateAuthority

from weftmesh.cli.commands.route_bootstrap import bootstrap
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.store import IdentityStore


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a node that has an identity."""
    one = CertificateAuthority("shop").node("till-1")
    IdentityStore(tmp_path / "data" / "identity").save(
        IdentityMaterial.assemble(authority_pem=one.ca_pem, certificate_pem=one.certificate_pem, key_pem=one.key_pem)
    )
    file = tmp_path / "weftmesh.toml"
    file.write_text(f'[node]\nname = "till-1"\ndata_dir = "{tmp_path}/data"\nrun_dir = "{tmp_path}/run"\n')
    monkeypatch.setenv("WEFTMESH_CONFIG", str(file))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(bootstrap, arguments)


def document(*arguments: str) -> dict[str, Any]:
    found = run(*arguments)
    assert found.exit_code == 0, found.output
    printed: dict[str, Any] = json.loads(found.stdout)
    return printed


def test_grpc_is_sent_to_this_nodes_socket(node: Path) -> None:
    found = document("payments", "--grpc")
    assert found["xds_servers"][0]["server_uri"] == f"unix:{node}/run/xds.sock"
    assert found["node"]["id"] == "till-1-payments"


def test_grpc_shows_the_nodes_certificate_to_a_router_elsewhere(node: Path) -> None:
    server = document("payments", "--grpc", "--router", "10.0.0.7:7800", "--node", "till-2")["xds_servers"][0]
    assert server["server_uri"] == "dns:///till-2.shop.weftmesh:7800"
    assert server["channel_creds"][0]["config"]["private_key_file"] == f"{node}/data/identity/node.key"


def test_envoy_expects_the_name_of_the_router_elsewhere() -> None:
    found = document("payments", "--envoy", "--router", "10.0.0.7:7800", "--listen", "127.0.0.1:8080", "--delta")
    (cluster,) = found["static_resources"]["clusters"]
    assert cluster["transport_socket"]["typed_config"]["sni"] == "till-1.shop.weftmesh"
    (listener,) = found["static_resources"]["listeners"]
    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8080}
    assert found["dynamic_resources"]["ads_config"]["api_type"] == "DELTA_GRPC"


@pytest.mark.parametrize(
    "arguments",
    [
        ["payments"],
        ["payments", "--grpc", "--delta"],
        ["payments", "--grpc", "--listen", "127.0.0.1:1"],
        ["payments", "--envoy", "--router", "10.0.0.7:7800", "--xds-socket", "x.sock"],
    ],
)
def test_options_that_contradict_one_another_are_refused(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
