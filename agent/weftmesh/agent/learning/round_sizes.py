"""How many bytes a node sends in a round of secure aggregation, from the encoders that write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from weftmesh.core.aggregation.messages import (
    KeyAdvertisement,
    MaskedInput,
    OwnedShare,
    SealedShares,
    ShareUpload,
    UnmaskShares,
)
from weftmesh.core.aggregation.sealing import SEALED_BYTES
from weftmesh.core.aggregation.shamir import SHARE_BYTES
from weftmesh.core.aggregation.terms import ROUND_ID_BYTES
from weftmesh.core.forecast.features import COUNTS_LENGTH, DIMENSIONS
from weftmesh.core.forecast.finish_averaging import contribution_length, counts_length
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.learning.model import RoundKind
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.wire.envelopes import Contribution, Letter, seal

EFFORT: Final = "effort"
FINISH: Final = "finish"
_KEY_BYTES: Final = 32
_HASH_BYTES: Final = 32
_SIGNATURE_BYTES_MAX: Final = 72
"""ECDSA over P-256 in DER."""
_WORD_BYTES: Final = 8
_WEIGHT_WORDS: Final = 1
VECTOR_WORDS: Final[Mapping[str, Mapping[RoundKind, int]]] = {
    EFFORT: {
        RoundKind.STATISTICS: COUNTS_LENGTH + _WEIGHT_WORDS,
        RoundKind.TRAINING: DIMENSIONS + _WEIGHT_WORDS + 1,
        RoundKind.EVALUATION: _WEIGHT_WORDS + 2,
    },
    FINISH: {
        RoundKind.STATISTICS: counts_length(len(FEATURES)) + _WEIGHT_WORDS,
        RoundKind.TRAINING: contribution_length(len(FEATURES)) + _WEIGHT_WORDS + 1,
        RoundKind.EVALUATION: _WEIGHT_WORDS + 2,
    },
}
"""64-bit words of a masked vector, by head and kind of round: the numbers to add up, the node's weight, and the metrics
(in training the loss; in an evaluation the losses of the model and of the baseline)."""


def round_sizes(head: str, node: str, contributors: Sequence[str]) -> list[learning_pb2.MessageSize]:
    """What `node` sends to a coordinator in one round of each kind, in the order of a round.

    Args:
        head: of the job; nothing is known of a head that this release does not train.
        node: this node.
        contributors: all who take part, this node among them; nobody drops out.
    """
    sizes = []
    for kind, words in VECTOR_WORDS.get(head, {}).items():
        for what, letter in _letters(node, contributors, words):
            name = f"{kind.name.lower()}: {what}"
            sizes.append(learning_pb2.MessageSize(message=name, size_bytes=len(seal(letter))))
    return sizes


def _letters(node: str, contributors: Sequence[str], words: int) -> list[tuple[str, Letter]]:
    round_id, roster_hash, key = bytes(ROUND_ID_BYTES), bytes(_HASH_BYTES), bytes(_KEY_BYTES)
    others = [name for name in contributors if name != node]
    sealed = tuple(SealedShares(name, bytes(SEALED_BYTES)) for name in others)
    shares = tuple(OwnedShare(name, bytes(SHARE_BYTES)) for name in contributors)
    return [
        ("public keys", KeyAdvertisement(round_id, node, key, key, bytes(_HASH_BYTES), bytes(_SIGNATURE_BYTES_MAX))),
        ("encrypted shares of the masks' secrets", ShareUpload(round_id, roster_hash, sealed)),
        ("masked vector", Contribution(MaskedInput(round_id, roster_hash, words), bytes(_WORD_BYTES * words))),
        ("shares that take the masks off the sum", UnmaskShares(round_id, shares, ())),
    ]
