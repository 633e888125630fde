"""Vectors under secure aggregation: fixed point, masks, layout of a contribution. Only processes that train load this.

A vector is a row of 64-bit words, added modulo 2**64. A real number becomes the nearest multiple of 2**-24; sums of
words are exact, so a sum of n numbers is off by at most n * 2**-25 (and by the rounding of float64 itself above 2**29).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

from weftmesh.core.aggregation.keys import Mask
from weftmesh.core.aggregation.terms import CONTRIBUTORS_MAX, VECTOR_LENGTH_MAX
from weftmesh.core.errors import InvalidInputError

Words = NDArray[np.uint64]
Reals = NDArray[np.float64]

SCALE: Final = 2.0**24
CLIP: Final = 2.0**28
"""Numbers beyond are clipped. Up to here float64 holds the scaled number exactly, and a sum of CONTRIBUTORS_MAX of them
stays below 2**60: it cannot wrap around."""
WORD_BYTES: Final = 8
_WORD: Final = np.dtype("<u8")
_NONCE: Final = bytes(16)
"""ChaCha20's counter and nonce: a seed is used for one stream."""


def encode_reals(values: Reals) -> Words:
    """Numbers as words: clipped to -CLIP..CLIP, rounded to the nearest multiple of 1 / SCALE, halves to even.

    Raises:
        InvalidInputError: not one row of 1 to VECTOR_LENGTH_MAX numbers, or one of them is infinite or not a number.
    """
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1 or not 0 < row.size <= VECTOR_LENGTH_MAX:
        raise InvalidInputError(f"a vector is one row of 1 to {VECTOR_LENGTH_MAX} numbers, not of shape {row.shape}")
    if not np.isfinite(row).all():
        wrong = int(np.flatnonzero(~np.isfinite(row))[0])
        raise InvalidInputError(f"number {wrong} of the vector is {row[wrong]}; training diverged, send nothing")
    return np.rint(np.clip(row, -CLIP, CLIP) * SCALE).astype(np.int64).view(np.uint64)


def decode_words(words: Words) -> Reals:
    """The numbers that words stand for, one by one or summed."""
    return words.view(np.int64).astype(np.float64) / SCALE


def expand_mask(seed: bytes, length: int) -> Words:
    """The first `length` words of the ChaCha20 stream of a seed of 32 bytes (RFC 8439), low byte first."""
    encryptor = Cipher(algorithms.ChaCha20(seed, _NONCE), mode=None).encryptor()
    return np.frombuffer(encryptor.update(bytes(length * WORD_BYTES)), dtype=_WORD)


def apply_masks(words: Words, masks: Iterable[Mask]) -> Words:
    """`words` with every mask added or subtracted, modulo 2**64.

    Raises:
        InvalidInputError: there are no masks; what is sent or unmasked always has some.
    """
    masked, count = words.copy(), 0
    for count, mask in enumerate(masks, 1):  # noqa: B007, the last one is their number
        stream = expand_mask(mask.seed, words.size)
        if mask.sign > 0:
            np.add(masked, stream, out=masked)
        else:
            np.subtract(masked, stream, out=masked)
    if not count:
        raise InvalidInputError("a vector without masks is not sent; take part in the round's exchange of keys first")
    return masked


def words_to_bytes(words: Words) -> bytes:
    """The form in which a vector travels: 8 bytes a word, low byte first."""
    return words.astype(_WORD, copy=False).tobytes()


class MaskedSum:
    """Adds up masked vectors as they come, so that no single one has to be kept.

    Args:
        length: words of each vector.
    """

    def __init__(self, length: int) -> None:
        self._sum = np.zeros(length, dtype=np.uint64)
        self._count = 0

    def add(self, vector: bytes) -> None:
        """Adds a vector that `words_to_bytes` made. Add only what a CountVector effect names.

        Raises:
            InvalidInputError: it has another length, or the sum would have more than CONTRIBUTORS_MAX vectors.
        """
        if len(vector) != self._sum.size * WORD_BYTES:
            raise InvalidInputError(f"a vector of {len(vector)} bytes; this sum's have {self._sum.size * WORD_BYTES}")
        if self._count >= CONTRIBUTORS_MAX:
            raise InvalidInputError(f"a sum has at most {CONTRIBUTORS_MAX} vectors")
        self._sum += np.frombuffer(vector, dtype=_WORD)
        self._count += 1

    def unmasked(self, masks: Iterable[Mask]) -> Reals:
        """The sum of the plain vectors, given the masks of a TakeOff effect."""
        return decode_words(apply_masks(self._sum, masks))


@dataclass(frozen=True, slots=True)
class WeightedMean:
    """What a sum of contributions comes to.

    Attributes:
        update: the mean update, each contributor's counted by its weight.
        metrics: their means, weighted in the same way.
        weight: of all contributors together.
    """

    update: Reals
    metrics: Mapping[str, float]
    weight: float


@dataclass(frozen=True, slots=True)
class ContributionLayout:
    """One contributor's numbers in one vector: its weighted update, its weight, its weighted metrics.

    All of it is masked, so a coordinator learns no single weight (which would tell how many examples a node has) and
    no single loss.

    Attributes:
        update_length: numbers in an update.
        metrics: their names, in the order of the vector.
    """

    update_length: int
    metrics: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Words of the whole vector."""
        return self.update_length + 1 + len(self.metrics)

    def pack(self, update: Reals, weight: float, metrics: Mapping[str, float]) -> Words:
        """A contribution as words, not masked yet.

        Raises:
            InvalidInputError: another length or other metrics than the layout's, a weight that is not positive, or a
                number that is not finite.
        """
        if update.shape != (self.update_length,):
            raise InvalidInputError(f"an update of shape {update.shape}; the layout has ({self.update_length},)")
        if set(metrics) != set(self.metrics):
            raise InvalidInputError(f"metrics {sorted(metrics)}; the layout has {sorted(self.metrics)}")
        if not weight > 0:
            raise InvalidInputError(f"a contribution of weight {weight}; stay out of the round instead")
        tail = [1.0, *(metrics[name] for name in self.metrics)]
        return encode_reals(np.concatenate([update, np.array(tail)]) * weight)

    def unpack(self, total: Reals) -> WeightedMean:
        """The mean of the contributions whose sum is `total`.

        Raises:
            InvalidInputError: another length, or the weights do not add up to anything: somebody broke the protocol.
        """
        if total.shape != (self.length,):
            raise InvalidInputError(f"a sum of shape {total.shape}; the layout has ({self.length},)")
        weight = float(total[self.update_length])
        if not weight > 0:
            raise InvalidInputError(f"the weights of the round add up to {weight}; drop it")
        means = total[self.update_length + 1 :] / weight
        named = {name: float(mean) for name, mean in zip(self.metrics, means, strict=True)}
        return WeightedMean(total[: self.update_length] / weight, named, weight)
