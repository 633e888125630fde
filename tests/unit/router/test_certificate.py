"""What the node renewed is shown to xDS clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from weftmesh.cli.dev_node import DevNode
from weftmesh.core.errors import PreconditionError
from weftmesh.router.following.certificate import LOOK_S, Certificate
from weftmesh.runtime.config import load_config
from weftmesh.runtime.files import write_atomic
from weftmesh.runtime.identity.founding import found_cluster


def founded(directory: Path) -> Path:
    node = DevNode("node1", directory, "127.0.0.1:21001", "127.0.0.1:21002")
    node.write_config(fsync=False)
    found_cluster(load_config(node.config_path, environment={}), "dev", "node1", node.listen)
    return directory / "data" / "identity"


def test_a_renewed_certificate_is_taken_over_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    identity, other = founded(tmp_path / "a"), founded(tmp_path / "b")
    certificate = Certificate(identity)
    certificate.read()
    assert certificate.identity.generation == 0, "nothing is new"
    for name in ("ca.pem", "node.pem", "node.key"):
        (identity / name).write_bytes((other / name).read_bytes())
    certificate.read()
    assert certificate.identity.generation == 1
    (identity / "node.pem").write_bytes(b"nonsense")
    certificate.read()
    assert certificate.identity.generation == 1


async def test_whom_to_trust_now_is_known_within_seconds(tmp_path: Path) -> None:
    identity, other = founded(tmp_path / "a"), founded(tmp_path / "b")
    certificate, changed = Certificate(identity), asyncio.Event()
    certificate.changed = changed.set
    following = asyncio.create_task(certificate.run())
    write_atomic(identity / "ca.pem", (identity / "ca.pem").read_bytes() + (other / "ca.pem").read_bytes())
    async with asyncio.timeout(5 * LOOK_S):
        await changed.wait()
    following.cancel()
    assert len(certificate.identity.material.trusted) == 2


def test_without_an_identity_there_is_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="no identity"):
        Certificate(tmp_path)
