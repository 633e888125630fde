"""Whose certificates are good, as the node's replica has it: members, revocations, and authorities that are trusted.

It is kept on disk, since a router that begins again without its node serves the tables that it kept, and must not serve
them to whoever was turned away before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import structlog

from weftmesh.core.errors import ForbiddenError, NodeUnreachableError, UnauthenticatedError
from weftmesh.core.records import record
from weftmesh.mesh.v1 import mesh_pb2, trust_pb2
from weftmesh.runtime.files import write_atomic
from weftmesh.runtime.identity.credentials import peer_node
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.shown import (
    CERTIFICATE_REVOKED,
    Context,
    Shown,
    certificates_of,
    is_issued_by_any,
    shown_by,
    told_of_authority,
    told_of_revocation,
)

FILE_NAME: Final = "standing.json"
_log = structlog.get_logger("weftmesh.router")


@record(frozen=True, slots=True)
class Revoked:
    """A revocation, as the node tells it.

    Attributes:
        node: whose certificates; empty where only a serial is known.
        serial: of the one certificate; empty for all that the node had.
        why: for people.
        allowed_keys: keys, by their sha256, that the node was given since; None where an older node does not tell them
            and was let in again.
    """

    node: str
    serial: str
    why: str
    allowed_keys: tuple[str, ...] | None = ()

    def covers(self, shown: Shown) -> bool:
        """Whether it is about this certificate."""
        if self.serial:
            return self.serial == shown.serial
        return self.node == shown.node and self.allowed_keys is not None and shown.key_sha256 not in self.allowed_keys


class Standing:
    """Knows who may be told anything; implements `cutting.CertificateGate`.

    Args:
        directory: of the router's state; it exists.
        material: this node's identity, whose authorities are those that are trusted; None where no port is served.
    """

    def __init__(self, directory: Path, material: Callable[[], IdentityMaterial] | None = None) -> None:
        self._path = directory / FILE_NAME
        self._material = material
        self._members: frozenset[str] = frozenset()
        self._revoked: tuple[Revoked, ...] = ()
        self._was_rotated = False
        self._index: int | None = None
        """Of the log, up to which the node had applied it when it last said something new."""
        self._watchers: list[Callable[[], object]] = []
        self._restore()

    def on_change(self, changed: Callable[[], object]) -> None:
        """Have `changed` called when somebody's standing is another one than before."""
        self._watchers.append(changed)

    def hear(self, status: mesh_pb2.NodeStatus, certificates: trust_pb2.CertificatesView | None) -> None:
        """Take in what the node says now; nothing, where it has just begun and knows less than it did.

        Args:
            status: of the node.
            certificates: None from a node of a version without revocations, which changes none that are known.
        """
        if self._is_behind(status):
            return
        members = frozenset(one.name for one in status.members if not one.revoked)
        revoked, was_rotated = self._revoked, self._was_rotated
        if certificates is not None:
            revoked = tuple(map(_revoked, certificates.revocations))
            # A mesh that never replaced its authority may have one in between, of which handshakes know and this does
            # not.
            was_rotated = any(one.HasField("since") for one in certificates.authorities)
        if (members, revoked, was_rotated) != (self._members, self._revoked, self._was_rotated):
            self._members, self._revoked, self._was_rotated = members, revoked, was_rotated
            self._index = status.applied_index
            self._keep()
            for changed in self._watchers:
                changed()

    def _is_behind(self, status: mesh_pb2.NodeStatus) -> bool:
        """A node that begins again has its snapshot alone until a leader tells it how far the log is good."""
        if self._index is not None and status.applied_index >= self._index:
            return False
        return not status.quorum or status.applied_index < status.commit_index

    def check_call(self, context: Context) -> None:
        """Return if the caller may be told anything.

        Raises:
            UnauthenticatedError: it shows no certificate of this mesh, or one that is revoked or of an authority that
                was replaced.
            ForbiddenError: its node is no member, or no longer.
            NodeUnreachableError: nothing was ever heard of who is a member; it may be later.
        """
        if context.peer().startswith("unix:"):
            return
        material = None if self._material is None else self._material()
        node = None if material is None else peer_node(context.auth_context(), material.cluster)
        if node is None or material is None:
            raise UnauthenticatedError("show the certificate of a node of this mesh, over TLS 1.3")
        for pem in certificates_of(context):
            self._check_certificate(pem, material)
        self._check_member(node)

    def _check_certificate(self, pem: bytes, material: IdentityMaterial) -> None:
        shown = shown_by(pem)
        # A connection outlives what its handshake went by.
        if self._was_rotated and not is_issued_by_any(pem, _trusted(material)):
            raise UnauthenticatedError(told_of_authority(shown), reason=CERTIFICATE_REVOKED)
        for one in self._revoked:
            if one.covers(shown):
                raise UnauthenticatedError(told_of_revocation(shown, one.why), reason=CERTIFICATE_REVOKED)

    def _check_member(self, node: str) -> None:
        if not self._members:
            raise NodeUnreachableError("this router has not heard from its node who is a member; ask again soon")
        if node not in self._members:
            raise ForbiddenError(
                f"node {node} is not a member of this mesh, or no longer: it may not follow this router's tables",
                reason="NOT_A_MEMBER",
            )

    def _restore(self) -> None:
        try:
            kept = json.loads(self._path.read_bytes())
            self._members = frozenset(map(str, kept["members"]))
            self._revoked = tuple(map(_from_row, kept["revoked"]))
            self._was_rotated = bool(kept["rotated"])
            self._index = int(kept["index"]) if "index" in kept else None
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("who is a member is not known before the node says it", file=str(self._path), why=str(error))

    def _keep(self) -> None:
        revoked = [_row(one) for one in self._revoked]
        members = sorted(self._members)
        kept = {"members": members, "revoked": revoked, "rotated": self._was_rotated, "index": self._index}
        try:
            write_atomic(self._path, json.dumps(kept).encode())
        except OSError as error:
            _log.warning("who is a member cannot be kept", file=str(self._path), why=str(error))


@lru_cache(maxsize=1)
def _trusted(material: IdentityMaterial) -> tuple[bytes, ...]:
    return tuple(material.trusted.values())


def _revoked(view: trust_pb2.RevocationView) -> Revoked:
    told = tuple(view.allowed_keys)
    return Revoked(view.node, view.serial, view.reason, None if view.readmitted and not told else told)


def _row(one: Revoked) -> Mapping[str, object]:
    return {"node": one.node, "serial": one.serial, "why": one.why, "allowed_keys": one.allowed_keys}


def _from_row(row: Mapping[str, object]) -> Revoked:
    keys = row["allowed_keys"]
    allowed = tuple(map(str, keys)) if isinstance(keys, Iterable) else None
    return Revoked(str(row["node"]), str(row["serial"]), str(row["why"]), allowed)
