from __future__ import annotations

import subprocess
import sys

import pytest


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {"GRPC_SSL_CIPHER_SUITES": "ECDHE-ECDSA-AES128-GCM-SHA256"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("first", ["weftmesh.runtime", "weftmesh.agent", "weftmesh.runtime.identity.credentials"])
def test_whatever_is_imported_first_grpc_comes_after_the_restriction(first: str) -> None:
    done = run(f"import {first}, grpc; from weftmesh.runtime.tls import require_tls13; require_tls13()")

    assert done.returncode == 0, done.stderr


def test_a_server_refuses_to_start_when_grpc_came_first() -> None:
    done = run("import grpc; from weftmesh.runtime.tls import require_tls13; require_tls13()")

    assert "grpc was imported before weftmesh.runtime.tls" in done.stderr
