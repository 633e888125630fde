"""What differential privacy does to a node's vector before it is masked: all of it is shortened, and gets noise.

All that leaves is in the vector: the weighted update, the weight and the weighted metrics. So one length bounds all
that a sum can say of this node, and every number gets noise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weftmesh.core.noise.shares import NoiseShare
from weftmesh.learner.discrete_gaussian import Integers, RandomBytes, discrete_gaussians
from weftmesh.runtime.masking import Words


def noised(words: Words, share: NoiseShare, random_bytes: RandomBytes) -> Words:
    """The vector, shortened to the share's length and with its noise, on its grid.

    Args:
        words: what `ContributionLayout.pack` made.
        share: of this round.
        random_bytes: secret ones, new in each round.
    """
    steps = clipped(words.view(np.int64), share)
    steps += discrete_gaussians(share.sigma, steps.size, random_bytes)
    return np.left_shift(steps, share.step_bits).view(np.uint64)


def clipped(numbers: Integers, share: NoiseShare) -> Integers:
    """The vector in steps of the share's grid, its Euclidean length at most `share.clip` exactly.

    Numbers are cut towards 0, which makes no vector longer; a vector that is too long keeps its direction.

    Args:
        numbers: words as signed integers, below 2^53 in size.
        share: whose grid and length.
    """
    steps = _towards_zero(numbers / float(1 << share.step_bits))
    # A float may lie a little beyond what it stands for; the length is checked in integers, and that decides.
    slack = 1.0
    while (length := _length(steps)) > share.clip:
        steps = _towards_zero(steps * (share.clip / (length + 1) * slack))
        slack *= 1 - 1e-9
    return steps


def _towards_zero(numbers: NDArray[np.floating[Any]]) -> Integers:
    steps: Integers = np.trunc(numbers).astype(np.int64)
    return steps


def _length(steps: Integers) -> int:
    """The Euclidean length, rounded up."""
    square = sum(step * step for step in steps.tolist())
    return math.isqrt(square - 1) + 1 if square else 0
