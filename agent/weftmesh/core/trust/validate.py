"""What a value of a command about trust may be."""

from __future__ import annotations

import re
from typing import Final

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.trust.outcomes import Reason, Refusal
from weftmesh.core.trust.rows import Limits

_NODE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SERIAL: Final = re.compile(r"[1-9a-f][0-9a-f]{0,39}")
TIME_MS_MAX: Final = 2**53


def check_node(node: str) -> None:
    """Refuses what is no node's name."""
    if _NODE.fullmatch(node) is None:
        raise invalid(f"node: {node[:80]!r} is no node's name; see `weftmesh members`")


def check_serial(serial: str) -> None:
    """Refuses what is no certificate's serial number (RFC 5280, section 4.1.2.2: 20 bytes at most)."""
    if _SERIAL.fullmatch(serial) is None:
        raise invalid(f"serial: {serial[:80]!r} is not 1 to 40 lower-case hexadecimal digits without a leading zero")


def check_sha256(what: str, value: str) -> None:
    """Refuses what is no fingerprint."""
    if _SHA256.fullmatch(value) is None:
        raise invalid(f"{what}: {value[:80]!r} is not 64 lower-case hexadecimal digits")


def check_why(why: str) -> None:
    """Refuses no reason, or a long one."""
    if not why.strip() or len(why) > Limits.WHY_CHARACTERS or not why.isprintable():
        raise invalid(f"reason: send one line of 1 to {Limits.WHY_CHARACTERS} characters")


def check_authority(what: str, certificate: bytes) -> None:
    """Refuses what is too small or too large to be a certificate; whoever proposes has parsed it."""
    if not 64 <= len(certificate) <= Limits.AUTHORITY_BYTES:
        raise invalid(f"{what}: has {len(certificate)} bytes; a certificate has 64 to {Limits.AUTHORITY_BYTES}")


def check_time(what: str, time_ms: int) -> None:
    """Refuses what is no moment after 1970."""
    if not 0 < time_ms < TIME_MS_MAX:
        raise invalid(f"{what}: {time_ms} is no time in milliseconds since 1970")


def invalid(message: str) -> Refusal:
    """A command that can never succeed as it is."""
    return Refusal(Reason.INVALID_VALUE, message, OutcomeKind.INVALID)
