"""Secrets that systemd hands to the node: from root's files, to the node's user alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.platform.machine import Machine

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

AGENT = "weftmesh-agent"
NAME = "weftmesh.node.key"
HANDED = Path(f"/run/credentials/{AGENT}.service")
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
    store(node, f"/etc/credstore/{NAME}")
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
    store(node, f"/etc/credstore/{NAME}")
    node.run("systemctl", "restart", AGENT)
    node.run("sh", "-c", f"cat > /etc/credstore/{NAME}", stdin="another")
    node.run("systemctl", "reload", AGENT)
    # As the node sees it, in the namespace that it began in.
    assert node.run("cat", f"/proc/{node.pid_of(AGENT)}/root{HANDED / NAME}").stdout == "another"
