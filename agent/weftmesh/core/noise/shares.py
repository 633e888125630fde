"""One sum's noise, shared out: each contributor adds so much that the fewest who stay still add up to all of it.

P. Kairouz, Z. Liu and T. Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure
Aggregation" (ICML 2021). All noise is on one grid, whose step is a power of 2 of the masks' fixed point: with a whole
standard deviation of about 2^21 steps a sampler stays within 64-bit integers and is exact all the same, and
what rounding to the grid changes is a two-millionth of the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from weftmesh.core.errors import InvalidInputError

FIXED_POINT_BITS: Final = 24
"""A word of 1 stands for 2^-24; see weftmesh.runtime.masking."""
SIGMA_BITS: Final = 22
"""A share's standard deviation is below 2^22 steps of its grid."""
SHARE_SIGMA_MIN: Final = 256
"""Fewer steps are refused: the sum of the shares has to be as good as a discrete Gaussian, see `sum_gap`."""

CLIP_RANGE: Final = (1e-6, 2.0**26)
SIGMA_RANGE: Final = (2.0**-10, 2.0**26)
"""Of a whole sum's noise, in numbers: between them it fits the fixed point, and a sum of it cannot wrap around."""


@dataclass(frozen=True, slots=True)
class NoiseShare:
    """What one contributor does to its vector before it is masked.

    Attributes:
        step_bits: the grid's step is 2**step_bits words.
        clip: the vector is shortened to this Euclidean length, in steps.
        sigma: standard deviation of the noise of each number, in steps.
    """

    step_bits: int
    clip: int
    sigma: int


def share_of_noise(clip: float, sigma: float, stayers: int, colluders: int) -> NoiseShare:
    """The share that makes any `stayers - colluders` of them add up to a variance above sigma^2.

    Args:
        clip: the most that one contributor's vector may weigh (Euclidean length).
        sigma: standard deviation that a sum must have once the colluders have taken their own noise out of it.
        stayers: a sum has at least so many vectors.
        colluders: how many of them may pool what they know.

    Raises:
        InvalidInputError: nobody but colluders is sure to stay, or the noise is too fine for the fixed point.
    """
    if stayers <= colluders:
        raise InvalidInputError(
            f"noise: a sum may have {stayers} vectors and {colluders} contributors may collude; lower the number of "
            "colluders, or raise the floor",
            reason="NOISE_INVALID",
        )
    unit = 1 << FIXED_POINT_BITS
    variance = (Fraction(sigma) * unit) ** 2 / (stayers - colluders)
    step_bits = max(math.isqrt(math.floor(variance)).bit_length() - SIGMA_BITS, 0)
    # One more than the root, so that rounding adds noise; that also covers `sum_gap`.
    share_sigma = math.isqrt(math.floor(variance / 4**step_bits)) + 1
    if share_sigma < SHARE_SIGMA_MIN:
        raise InvalidInputError(
            f"noise: a sigma of {sigma:g} over {stayers - colluders} contributors is too fine for numbers of "
            f"{FIXED_POINT_BITS} bits; raise clip and sigma together",
            reason="NOISE_INVALID",
        )
    return NoiseShare(step_bits, math.floor(Fraction(clip) * unit / 2**step_bits), share_sigma)


def sum_gap(sigma: int, shares: int) -> float:
    """How far a sum of discrete Gaussians is from one: the tau of theorem 1 of Kairouz et al., in natural logarithm.

    The releases' sqrt(2 rho) grows by at most tau times the root of the vector's length. At a sigma of SHARE_SIGMA_MIN
    and 256 shares ln(tau) is below -600,000: far less than what the rounding up in `share_of_noise` gives back.

    Args:
        sigma: of each share, in steps.
        shares: how many are added up.
    """
    if shares < 2:
        return -math.inf
    # tau = 10 * sum over k = 1 .. shares - 1 of exp(-2 pi^2 sigma^2 k / (k + 1)): the first term is the largest.
    return math.log(10 * (shares - 1)) - math.pi**2 * sigma**2
