"""The authorities whose keys this node holds: one that issues, and during a rotation the one that is coming."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from cryptography import x509

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.identity.authority import Authority, KeyPair
from weftmesh.runtime.identity.certificates import utc_now
from weftmesh.runtime.identity.store import IdentityStore


class Signer(Protocol):
    """What signs certificates; an `Authority` does."""

    @property
    def cluster(self) -> str:
        """The cluster's name."""

    @property
    def certificate_der(self) -> bytes:
        """What members trust."""

    @property
    def pin(self) -> str:
        """The fingerprint a join line carries."""

    def issue(self, signing_request_der: bytes, node: str, *, now: datetime) -> x509.Certificate:
        """Sign a node's key under a name that the caller has verified."""

    def issue_enrollment(self, *, now: datetime) -> KeyPair:
        """Make a key pair for the enrolment port."""


class Signers:
    """Signs with the authority that the mesh says is the issuing one; implements `Signer`.

    Args:
        store: has the keys.

    Raises:
        PreconditionError: there is no authority here.
    """

    def __init__(self, store: IdentityStore) -> None:
        self._store = store
        self._issuing = store.load_authority()

    @property
    def issuing(self) -> Authority:
        """The authority that signs now."""
        return self._issuing

    def prepare(self, clock: Callable[[], datetime] = utc_now) -> Authority:
        """The coming authority, which is made and on disk when this returns; one that is there from before is kept."""
        return self._store.load_coming() or self._store.save_coming(Authority.create(self.cluster, now=clock()))

    def check_held(self, authority: str) -> None:
        """Refuse to have an authority issue whose key nobody could sign with.

        Args:
            authority: the sha256 of its certificate.

        Raises:
            PreconditionError: NO_AUTHORITY: its key is not here.
        """
        coming = self._store.load_coming()
        if authority not in (self._issuing.pin, coming.pin if coming is not None else ""):
            raise PreconditionError(
                f"the key of the new authority {authority[:16]}... is not on this node: do this where the rotation was "
                "begun; if the key is lost, give up with `weftmesh cert rotate-ca abandon`, and begin another one",
                reason="NO_AUTHORITY",
            )

    def follow(self, issuing: str) -> bool:
        """Sign with the authority of that fingerprint from now on, if its key is here; whether that is a change."""
        if self._issuing.pin == issuing:
            return False
        coming = self._store.load_coming()
        if coming is None or coming.pin != issuing:
            raise PreconditionError(
                f"the key of the issuing authority {issuing[:16]}... is not here; restore identity/ca-next.key and "
                "identity/ca-next.pem from where the rotation was begun",
                reason="NO_AUTHORITY",
            )
        self._issuing = coming
        return True

    def settle(self) -> None:
        """Make the issuing authority the only one on disk: the key of the former one is gone after this."""
        coming = self._store.load_coming()
        if coming is not None and coming.pin == self._issuing.pin:
            self._store.promote_coming()

    def abandon(self) -> None:
        """Delete a coming authority that never issued."""
        coming = self._store.load_coming()
        if coming is not None and coming.pin != self._issuing.pin:
            self._store.drop_coming()

    @property
    def cluster(self) -> str:
        """See Signer."""
        return self._issuing.cluster

    @property
    def certificate_der(self) -> bytes:
        """See Signer."""
        return self._issuing.certificate_der

    @property
    def pin(self) -> str:
        """See Signer."""
        return self._issuing.pin

    def issue(self, signing_request_der: bytes, node: str, *, now: datetime) -> x509.Certificate:
        """See Signer."""
        return self._issuing.issue(signing_request_der, node, now=now)

    def issue_enrollment(self, *, now: datetime) -> KeyPair:
        """See Signer."""
        return self._issuing.issue_enrollment(now=now)
