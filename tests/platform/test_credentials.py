"""Secrets that systemd hands to the node: from root's files, to the node's user alone."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from tests.platform.conftest import install
from tests.platform.machine import Machine

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

AGENT = "weftmesh-agent"
NAME = "weftmesh.node.key"
HANDED = Path(f"/run/credentials/{AGENT}.service")
STORE = "/etc/credstore"
TLS = """
[tls]
mode = "files"
cert_file = "$CREDENTIALS_DIRECTORY/weftmesh.node.crt"
key_file = "$CREDENTIALS_DIRECTORY/weftmesh.node.key"
ca_file = "$CREDENTIALS_DIRECTORY/weftmesh.ca.crt"
"""
EXPIRY_TIMEOUT_S = 60.0
SECRET = "of the plant's own authority"


def store(node: Machine, path: str) -> None:
    """A secret as an administrator puts it there."""
    node.run("install", "-d", "-m", "0700", str(Path(path).parent))
    node.run("sh", "-c", f"umask 077; cat > {path}", stdin=SECRET)


def add(node: Machine, setting: str) -> None:
    """A drop-in of the unit."""
    directory = f"/run/systemd/system/{AGENT}.service.d"
    node.run("mkdir", directory)
    node.run("sh", "-c", f"cat > {directory}/key.conf", stdin=f"[Service]\n{setting}\n")
    node.run("systemctl", "daemon-reload")


def test_a_secret_in_the_credential_store_reaches_the_node_and_nobody_else(node: Machine) -> None:
    assert node.run("find", str(HANDED), "-type", "f", check=False).stdout == ""
    store(node, f"{STORE}/{NAME}")
    node.run("systemctl", "restart", AGENT)
    secret = str(HANDED / NAME)
    assert node.run("runuser", "-u", "weftmesh", "--", "cat", secret).stdout == SECRET
    for user in ("nobody", "weftmesh-coordinator"):
        assert node.run("runuser", "-u", user, "--", "cat", secret, check=False).returncode != 0
    node.run("systemctl", "stop", AGENT)
    assert node.run("test", "-e", secret, check=False).returncode != 0


def test_a_secret_may_be_kept_encrypted(node: Machine) -> None:
    kept = f"/etc/credstore.encrypted/{NAME}"
    node.run("install", "-d", "-m", "0700", str(Path(kept).parent))
    node.run("systemd-creds", "encrypt", "--with-key=host", "-", kept, stdin=SECRET)
    add(node, f"LoadCredentialEncrypted={NAME}")
    node.run("systemctl", "restart", AGENT)
    assert SECRET.encode() not in (node.path / kept[1:]).read_bytes()
    assert node.run("cat", str(HANDED / NAME)).stdout == SECRET


def test_a_secret_that_is_named_with_its_path_has_to_be_there(node: Machine) -> None:
    add(node, f"LoadCredential={NAME}:/srv/{NAME}")
    assert node.run("systemctl", "restart", AGENT, check=False).returncode != 0
    assert "CREDENTIALS" in node.run("systemctl", "status", "--no-pager", AGENT, check=False).stdout
    store(node, f"/srv/{NAME}")
    node.run("systemctl", "reset-failed", AGENT)
    node.run("systemctl", "start", AGENT)
    assert node.run("runuser", "-u", "weftmesh", "--", "cat", str(HANDED / NAME)).stdout == SECRET


def test_systemd_252_hands_a_new_secret_over_at_a_reload(node: Machine) -> None:
    store(node, f"{STORE}/{NAME}")
    node.run("systemctl", "restart", AGENT)
    node.run("sh", "-c", f"cat > /etc/credstore/{NAME}", stdin="another")
    node.run("systemctl", "reload", AGENT)
    # As the node sees it, in the namespace that it began in.
    assert node.run("cat", f"/proc/{node.pid_of(AGENT)}/root{HANDED / NAME}").stdout == "another"


def test_a_node_by_a_certificate_from_elsewhere_takes_the_next_one_at_a_reload(
    new_machine: Machine, packages: Path
) -> None:
    node = new_machine
    install(node, packages, "weftmesh")
    shutil.copy(Path(__file__).with_name("issuing.py"), node.path / "srv")
    node.run("install", "-d", "-m", "0700", STORE)
    issue(node, days=5)
    node.run("sh", "-c", "cat > /etc/weftmesh/conf.d/20-tls.toml", stdin=TLS)
    founding = ["weftmesh", "init", "--cluster", "plant", "--name", "node1", "--advertise", "127.0.0.1:7450"]
    node.run("env", f"CREDENTIALS_DIRECTORY={STORE}", *founding)
    node.run("systemctl", "enable", "--now", "weftmesh.target")
    node.wait_until(AGENT, "ActiveState", "active")
    before = expiry(node)
    issue(node, days=9)
    node.run("systemctl", "reload", AGENT)
    deadline = time.monotonic() + EXPIRY_TIMEOUT_S
    while expiry(node) == before:
        assert time.monotonic() < deadline, node.journal(AGENT)
        time.sleep(0.5)
    assert expiry(node) > before


def issue(node: Machine, days: int) -> None:
    node.run("/usr/lib/weftmesh/bin/python", "-I", "/srv/issuing.py", "/srv/authority", STORE, str(days))


def expiry(node: Machine) -> str:
    found: dict[str, str] = json.loads(node.run("weftmesh", "--json", "status").stdout)
    return found["certificate_expire_time"]
