"""Whether a revocation leaves enough voters that the others believe, and whose certificate it is about."""

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


def owners_of(read: Reading, shown: Mapping[str, Shows], serial: str) -> list[str]:
    """The nodes that show the certificate of a serial number, or last told so, sorted by name.

    More than one if somebody lies; nobody who tells the truth can be talked out of it.

    Args:
        read: what nodes told the log.
        shown: what those that answer show now, which counts more.
        serial: hexadecimal, without leading zeros.
    """
    told = {one.node: one.serial for one in read.certificates()}
    told |= {node: one.serial for node, one in shown.items()}
    return sorted(node for node, its in told.items() if its == serial)
