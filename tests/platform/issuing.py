"""Run on a machine by the packaged Python: an authority of somebody else's, in files, and what it issues.

Arguments: the directory of the authority, the directory that gets a node's files, the days that its certificate holds.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_pem, utc_now

CLUSTER, NODE = "plant", "node1"


def issue(kept: Path, to: Path, days: int) -> None:
    """Make the authority if there is none, and a pair of key and certificate."""
    certificate, key = kept / "ca.crt", kept / "ca.key"
    if not key.exists():
        kept.mkdir()
        made = Authority.create(CLUSTER, now=utc_now())
        certificate.write_bytes(made.certificate_pem)
        key.write_bytes(made.key_pem)
    authority = Authority.load(certificate.read_bytes(), key.read_bytes())
    own = make_key()
    issued = authority.issue(make_signing_request(own, NODE), NODE, now=utc_now(), lifetime=timedelta(days=days))
    (to / "weftmesh.ca.crt").write_bytes(authority.certificate_pem)
    (to / "weftmesh.node.crt").write_bytes(to_pem(issued))
    (to / "weftmesh.node.key").write_bytes(key_to_pem(own))


if __name__ == "__main__":
    issue(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
