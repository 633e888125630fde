"""The invariants of the machine of trust."""

# ruff: noqa: S101 - assertions are what this module is for

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

from weftmesh.core.board.hashing import HASH_MASK, request_hash
from weftmesh.core.board.state import RememberedRequest
from weftmesh.core.trust.rows import AuthorityState, Limits
from weftmesh.core.trust.store import Store, row_hash


def check_store(store: Store) -> None:
    """Asserts what holds of rows and between them."""
    states = Counter(one.state for one in store.authorities)
    assert max(states.values(), default=1) == 1, "two authorities in one state"
    assert not states or states[AuthorityState.ISSUING] == 1, "authorities, and none that issues"
    assert not (states[AuthorityState.COMING] and states[AuthorityState.RETIRING]), "two rotations at a time"
    for authority in store.authorities:
        assert sha256(authority.certificate).hexdigest() == authority.sha256, "an authority under another's name"
    assert len(store.certificates) <= Limits.CERTIFICATES, "too many certificates"
    assert len(store.revocations) <= Limits.REVOCATIONS, "too many revocations"
    for one in store.revocations:
        assert one.node or one.serial, "a revocation of nothing"
        assert len(one.allowed_keys) <= Limits.ALLOWED_KEYS, "too many keys"
        assert not (one.serial and one.allowed_keys), "a key allowed for a serial"


def check_hash(store: Store, requests: Iterable[RememberedRequest], state_hash: int) -> None:
    """Asserts that the increments left the hash that all rows have."""
    total = sum(map(row_hash, store.rows())) + sum(map(request_hash, requests))
    assert state_hash == total & HASH_MASK, "the state hash is not that of the rows"
