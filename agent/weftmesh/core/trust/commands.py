"""What can be asked of the machine of trust."""

from __future__ import annotations

from weftmesh.core.board.commands import Header
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class ReportCertificate:
    """Say which certificate a node shows now, and whom it trusts."""

    header: Header
    node: str
    serial: str
    key_sha256: str
    authority: str
    trusted: tuple[str, ...]
    not_before_ms: int
    not_after_ms: int


@record(frozen=True, slots=True)
class Revoke:
    """Revoke one certificate (`serial`), or every one that `node` has."""

    header: Header
    node: str
    serial: str
    why: str
    expires_ms: int
    voters: tuple[str, ...] = ()
    """A majority of them has to stay believed; empty where that does not matter."""


@record(frozen=True, slots=True)
class Readmit:
    """Accept certificates of a revoked node again if they are for this key, which it was given since."""

    header: Header
    node: str
    key_sha256: str


@record(frozen=True, slots=True)
class BeginRotation:
    """Trust a new authority beside the present one."""

    header: Header
    present: bytes
    """The certificate in DER of the authority that issues."""
    coming: bytes


@record(frozen=True, slots=True)
class SwitchIssuer:
    """Let the coming authority issue, if every member trusts it."""

    header: Header
    authority: str
    """The sha256 of the coming one."""
    members: tuple[str, ...]


@record(frozen=True, slots=True)
class FinishRotation:
    """Trust the former authority no more, if no member shows a certificate of it."""

    header: Header
    authority: str
    """The sha256 of the one that issues."""
    members: tuple[str, ...]
    forced: tuple[str, ...] = ()
    """Members that are cut off by it, named by whoever asks."""


@record(frozen=True, slots=True)
class AbandonRotation:
    """Give a rotation up that has only begun."""

    header: Header
    authority: str
    """The sha256 of the coming one."""


Command = ReportCertificate | Revoke | Readmit | BeginRotation | SwitchIssuer | FinishRotation | AbandonRotation
