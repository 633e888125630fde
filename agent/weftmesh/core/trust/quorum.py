"""Whether a revocation leaves enough voters that the others believe, however it names what it revokes."""

from __future__ import annotations

from collections.abc import Mapping

from weftmesh.core.records import record
from weftmesh.core.trust.reading import Reading


@record(frozen=True, slots=True)
class Shows:
    """The certificate that a node shows now."""

    serial: str
    """Hexadecimal, without leading zeros."""
    key_sha256: str


def believed_without(read: Reading, shown: Mapping[str, Shows], node: str, serial: str) -> list[str]:
    """The nodes that would be believed after a revocation, sorted by name.

    Args:
        read: what is revoked already.
        shown: the certificate of each node that counts.
        node: whose certificates go; empty if only a serial number is named.
        serial: the one that goes; empty for all that the node has.
    """
    return sorted(
        name
        for name, one in shown.items()
        if not (one.serial == serial if serial else name == node)
        and read.revocation_of(name, one.serial, one.key_sha256) is None
    )
