"""The secrets of one contributor in one round, and what is derived from them (X25519, RFC 7748; HKDF, RFC 5869)."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from weftmesh.core.aggregation.messages import KeyAdvertisement
from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason
from weftmesh.core.aggregation.terms import RoundTerms
from weftmesh.core.encoding import encode

KEY_BYTES: Final = 32
STATEMENT_LABEL: Final = "weftmesh/aggregation/v1/key-statement"
"""First field of what a certificate's key signs for aggregation: no other use of that key can be mistaken for it."""
_SEALING_LABEL: Final = "weftmesh/aggregation/v1/share-sealing"
_PAIR_MASK_LABEL: Final = "weftmesh/aggregation/v1/pair-mask"
_SELF_MASK_LABEL: Final = "weftmesh/aggregation/v1/self-mask"
_WORK_LABEL: Final = "weftmesh/aggregation/v1/work"
_COMMITMENT_LABEL: Final = "weftmesh/aggregation/v1/self-mask-commitment"


@dataclass(frozen=True, slots=True)
class RoundKeys:
    """Private keys and the seed of the self mask, 32 bytes each. Never printed."""

    masking: bytes = field(repr=False)
    sharing: bytes = field(repr=False)
    self_mask: bytes = field(repr=False)

    @classmethod
    def generate(cls, rng: random.Random) -> RoundKeys:
        """New keys; `rng` is `secrets.SystemRandom()` in production."""
        return cls(rng.randbytes(KEY_BYTES), rng.randbytes(KEY_BYTES), rng.randbytes(KEY_BYTES))


@dataclass(frozen=True, slots=True)
class Mask:
    """A ChaCha20 stream to add to a vector or to take off it.

    Attributes:
        sign: 1 to add, -1 to subtract.
        seed: the stream's key, 32 bytes.
    """

    sign: int
    seed: bytes = field(repr=False)


def load_private_key(private_key: bytes) -> X25519PrivateKey:
    """The X25519 key of KEY_BYTES; costs as much as an agreement, so load it once for many."""
    return X25519PrivateKey.from_private_bytes(private_key)


def public_key(private_key: bytes) -> bytes:
    """The X25519 public key, 32 bytes."""
    return load_private_key(private_key).public_key().public_bytes_raw()


def agree(private_key: X25519PrivateKey, peer_key: bytes) -> bytes:
    """The X25519 shared secret with the holder of `peer_key`.

    Raises:
        Refusal: BAD_KEY, for a key of small order that would make the secret a constant.
    """
    try:
        return private_key.exchange(X25519PublicKey.from_public_bytes(peer_key))
    except ValueError as error:
        raise Refusal(RefusalReason.BAD_KEY, "a public key in the roster makes no shared secret") from error


def sealing_key(shared: bytes, roster_hash: bytes, sender: str, receiver: str) -> bytes:
    """The key that seals the shares of `sender` for `receiver`: each direction has its own, and each is used once."""
    return _derive(shared, roster_hash, encode(_SEALING_LABEL, sender, receiver))


def pair_mask(shared: bytes, roster_hash: bytes, name: str, peer: str) -> Mask:
    """The mask that `name` applies for `peer`; that of `peer` for `name` is its opposite."""
    low, high = sorted((name, peer))
    return Mask(1 if name == low else -1, _derive(shared, roster_hash, encode(_PAIR_MASK_LABEL, low, high)))


def self_mask(seed: bytes, roster_hash: bytes, name: str) -> Mask:
    """The mask that hides a vector even when all pair masks of its contributor became known."""
    return Mask(1, _derive(seed, roster_hash, encode(_SELF_MASK_LABEL, name)))


def bound_to_work(mask: Mask, work_sha256: bytes) -> Mask:
    """The mask of a vector that came of this work. Who was told to do something else has other masks, and no sum of
    the two comes out: else a coordinator could tell all but one to send next to nothing.

    Args:
        mask: as a machine hands it out.
        work_sha256: of all that the vector depends on and a coordinator chooses, 32 bytes.
    """
    return Mask(mask.sign, _derive(mask.seed, work_sha256, encode(_WORK_LABEL)))


def commitment(terms: RoundTerms, name: str, self_mask_seed: bytes) -> bytes:
    """Binds a contributor to its seed before the shares exist, so that a wrong share shows when they are combined."""
    return hashlib.sha256(encode(_COMMITMENT_LABEL, terms.encoded(), name, self_mask_seed)).digest()


def key_statement(terms: RoundTerms, advertisement: KeyAdvertisement) -> bytes:
    """What the key of a contributor's certificate signs: its name, its keys and every word of the round's terms."""
    return encode(
        STATEMENT_LABEL,
        terms.encoded(),
        advertisement.contributor,
        advertisement.masking_key,
        advertisement.sharing_key,
        advertisement.self_mask_commitment,
    )


def _derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, info).derive(secret)
