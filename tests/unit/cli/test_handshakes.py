"""What counts as a refusal of the server, and what says nothing of it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from weftmesh.cli.controls.handshakes import shake_hands
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_pem
from weftmesh.runtime.identity.material import IdentityMaterial


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def material() -> IdentityMaterial:
    authority, key = Authority.create("lab", now=datetime.now(UTC)), make_key()
    certificate = authority.issue(make_signing_request(key, "n1"), "n1", now=datetime.now(UTC))
    return IdentityMaterial.assemble(
        authority_pem=authority.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
    )


def test_silence_is_no_refusal(listener: socket.socket) -> None:
    host, port = listener.getsockname()
    with pytest.raises(TimeoutError):
        shake_hands(f"{host}:{port}", material(), with_certificate=False, newest=ssl.TLSVersion.TLSv1_3, timeout_s=0.3)
