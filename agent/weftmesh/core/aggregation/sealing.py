"""Shares on their way from one contributor to another, through a coordinator that must not read or redirect them."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason
from weftmesh.core.aggregation.shamir import SHARE_BYTES, is_share
from weftmesh.core.encoding import encode

SEALED_BYTES: Final = 2 * SHARE_BYTES + 16
_NONCE: Final = bytes(12)
"""Constant, because a key seals one message: it is derived from the keys of one round, for one direction."""


def seal(key: bytes, binding: bytes, self_mask_share: bytes, masking_key_share: bytes) -> bytes:
    """Both shares for one peer; `binding` is what both sides have to agree on."""
    return ChaCha20Poly1305(key).encrypt(_NONCE, self_mask_share + masking_key_share, binding)


def unseal(key: bytes, binding: bytes, sealed: bytes, sender: str) -> tuple[bytes, bytes]:
    """The shares of the self mask and of the masking key of `sender`.

    Raises:
        Refusal: SHARE_UNREADABLE.
    """
    try:
        plain = ChaCha20Poly1305(key).decrypt(_NONCE, sealed, binding)
    except InvalidTag as error:
        raise Refusal(
            RefusalReason.SHARE_UNREADABLE, f"the shares from {sender} are not for this contributor and this roster"
        ) from error
    shares = plain[:SHARE_BYTES], plain[SHARE_BYTES:]
    if not all(is_share(share) for share in shares):
        raise Refusal(RefusalReason.SHARE_UNREADABLE, f"{sender} sealed something that is not two shares")
    return shares


def binding(round_id: bytes, roster_hash: bytes, sender: str, receiver: str) -> bytes:
    """The associated data of the sealed shares from `sender` to `receiver`."""
    return encode("weftmesh/aggregation/v1/sealed-shares", round_id, roster_hash, sender, receiver)
