"""What the machine of trust knows, for its readers."""

from __future__ import annotations

from weftmesh.core.trust.plans import is_shut_out
from weftmesh.core.trust.rotation_plans import who_does_not_trust, who_is_not_certified_by
from weftmesh.core.trust.rows import AuthorityState, NodeCertificate, Phase, Revocation, TrustedAuthority
from weftmesh.core.trust.store import Store


class Reading:
    """Reads a store; what it hands out is immutable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def phase(self) -> Phase:
        """Where the rotation stands."""
        return self._store.phase

    @property
    def any_revoked(self) -> bool:
        """Whether anything is revoked at all: asked before each call of a peer."""
        return len(self._store.revocations) > 0

    @property
    def was_rotated(self) -> bool:
        """Whether the authority was ever replaced, or is being: then the log says who is trusted."""
        return len(self._store.authorities) > 0

    def authorities(self) -> list[TrustedAuthority]:
        """Those to trust, the issuing one first; none while the mesh never rotated."""
        return sorted(self._store.authorities, key=lambda one: (one.state is not AuthorityState.ISSUING, one.sha256))

    def authority_in(self, state: AuthorityState) -> TrustedAuthority | None:
        """The authority in that state."""
        return self._store.authority_in(state)

    def certificate_of(self, node: str) -> NodeCertificate | None:
        """What a node last said of itself."""
        return self._store.certificates.get(node)

    def certificates(self) -> list[NodeCertificate]:
        """What all nodes said, by name."""
        return sorted(self._store.certificates, key=lambda one: one.node)

    def revocations(self) -> list[Revocation]:
        """All, the oldest first."""
        return sorted(self._store.revocations, key=lambda one: one.stamp)

    def revocation_of(self, node: str, serial: str, key_sha256: str) -> Revocation | None:
        """Why a certificate is not good any more; None while it is."""
        by_serial = self._store.revocations.get(f":{serial}")
        if by_serial is not None:
            return by_serial
        by_node = self._store.revocations.get(node)
        return None if by_node is None or key_sha256 in by_node.allowed_keys else by_node

    def node_revocation(self, node: str) -> Revocation | None:
        """The revocation of everything that a node had, whether or not it was given a new key since."""
        return self._store.revocations.get(node)

    def is_shut_out(self, node: str) -> bool:
        """Whether all that a node had is revoked, and it was given no other key since."""
        return is_shut_out(self._store, node)

    def not_trusting(self, members: tuple[str, ...], authority: str) -> list[str]:
        """Members that did not confirm that they trust an authority."""
        return who_does_not_trust(self._store, members, authority)

    def not_certified_by(self, members: tuple[str, ...], authority: str) -> list[str]:
        """Members that did not confirm a certificate of an authority."""
        return who_is_not_certified_by(self._store, members, authority)
