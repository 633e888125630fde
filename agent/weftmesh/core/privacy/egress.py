"""One payload that is about to leave a node, as the egress ledger has to know it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.records import record

PEER_BYTES_MAX: Final = 255
"""Of a peer's name in UTF-8."""
WHY_BYTES_MAX: Final = 500
"""Of the reason in UTF-8: a line for people."""
SIZE_BYTES_MAX: Final = (1 << 63) - 1
SHA256_BYTES: Final = 32


class EgressClass(IntEnum):
    """What a payload is about; the numbers are those on disk."""

    LEARNING = 1
    HEALTH = 2
    PHONE = 3
    LOGS = 4
    ASSETS = 5


@record(frozen=True, slots=True)
class Egress:
    """A payload that is about to leave.

    Attributes:
        egress_class: what it is about.
        peer: who gets it: a node's name, or an address outside the mesh.
        size_bytes: of the payload.
        sha256: of the payload, 32 bytes.
        why: a few words for people.
    """

    egress_class: EgressClass
    peer: str
    size_bytes: int
    sha256: bytes
    why: str


def check_egress(egress: Egress) -> None:
    """Return if this node's ledger may take it.

    Raises:
        InvalidInputError: it concerns a person's health, which is for that person's own ledger; or a field is empty or
            out of bounds.
    """
    if egress.egress_class is EgressClass.HEALTH:
        raise InvalidInputError(
            "what concerns a person's health is not for the node's egress ledger, which every administrator of the "
            "node may read; record it in that person's own ledger, and do not send it before",
            reason="HEALTH_IS_PERSONAL",
            metadata={"field": "egress_class"},
        )
    _check_text("peer", egress.peer, PEER_BYTES_MAX, "name who gets the payload")
    _check_text("why", egress.why, WHY_BYTES_MAX, "say in a few words why it leaves")
    if not 0 <= egress.size_bytes <= SIZE_BYTES_MAX:
        raise _wrong("size_bytes", f"{egress.size_bytes} is no size; give the payload's length in bytes")
    if len(egress.sha256) != SHA256_BYTES:
        raise _wrong("sha256", f"it has {len(egress.sha256)} bytes; give the payload's SHA-256, {SHA256_BYTES} bytes")


def _check_text(field: str, text: str, bytes_max: int, advice: str) -> None:
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise _wrong(field, f"it is not Unicode text; {advice}") from None
    if not 0 < size_bytes <= bytes_max:
        raise _wrong(field, f"it has {size_bytes} bytes; {advice}, in 1 to {bytes_max} bytes of UTF-8")


def _wrong(field: str, what: str) -> InvalidInputError:
    return InvalidInputError(f"the egress ledger cannot take this, {field}: {what}", metadata={"field": field})
