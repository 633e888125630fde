"""Small noise of this node's own on its document counts, so that no sum of counts shows a rare word for certain.

Two sums of counts whose contributors differ by one node differ by that node's counts. So it counts a little wrong, and
in the same way whenever its counts are the same: repeating a sum, or asking under the name of another job, averages
nothing out. Counts that changed get noise that is new in all places, so that the difference does not show which of them
changed. docs/security.md says what this hides and what it does not: it is no differential privacy.
"""

from __future__ import annotations

import hmac
import secrets
from array import array
from pathlib import Path
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from weftmesh.core.encoding import encode
from weftmesh.core.forecast.features import DocumentCounts
from weftmesh.learner.discrete_gaussian import RandomBytes, discrete_gaussians
from weftmesh.learner.state_file import damaged, read_document, write_document

FILE_NAME: Final = "count-noise"
KEY_BYTES: Final = 32
COUNT_SIGMA: Final = 4
"""Standard deviation: who sees a count can hardly tell 0 from 3. What it does to forecasts: docs/forecasts.md."""
_LABEL: Final = "weftmesh/learner/v1/count noise"
_NONCE: Final = bytes(16)
_ADVICE: Final = "remove it and a key is made anew; the same counts then get other noise than before, once"


class CountNoise:
    """This node's noise, by a key that never leaves it.

    Args:
        state_dir: the learner's directory, which is there; the key is made on the first start.

    Raises:
        DataCorruptionError: the key's file is damaged.
        OSError: the key cannot be kept.
    """

    def __init__(self, state_dir: Path) -> None:
        path = state_dir / FILE_NAME
        document = read_document(path, _ADVICE)
        if document is None:
            document = {"key": secrets.token_hex(KEY_BYTES)}
            write_document(path, document)
        try:
            self._key = bytes.fromhex(document["key"])
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, f"it holds no key ({error})", _ADVICE) from error

    def added_to(self, counts: DocumentCounts, head: str) -> DocumentCounts:
        """The counts with this node's noise; see `with_noise`."""
        return with_noise(counts, head, self._key)


def with_noise(counts: DocumentCounts, head: str, key: bytes, sigma: int = COUNT_SIGMA) -> DocumentCounts:
    """The number of documents and each bucket's count with discrete Gaussian noise.

    The noise follows from the key, the head and these exact counts: HMAC-SHA256 gives the seed of a ChaCha20 stream.
    The sums of the shape features are left as they are.

    Args:
        counts: of this node's own texts; whole numbers.
        head: whose texts are counted.
        key: KEY_BYTES of secret.
        sigma: standard deviation of the noise; other ones than COUNT_SIGMA are for comparisons.
    """
    exact = np.array([counts.documents, *counts.by_bucket])
    seed = hmac.digest(key, encode(_LABEL, head, exact.astype("<f8").tobytes()), "sha256")
    noisy = exact + discrete_gaussians(sigma, exact.size, _stream(seed))
    return DocumentCounts(float(noisy[0]), array("d", noisy[1:].tolist()), counts.shape_sums, counts.shape_squares)


def _stream(seed: bytes) -> RandomBytes:
    encryptor = Cipher(algorithms.ChaCha20(seed, _NONCE), mode=None).encryptor()
    return lambda size_bytes: encryptor.update(bytes(size_bytes))
