"""Zero-concentrated differential privacy (zCDP): what releases cost, and what a cost means as (epsilon, delta).

M. Bun and T. Steinke, "Concentrated Differential Privacy: Simplifications, Extensions, and Lower Bounds" (TCC 2016).
Costs are written rho. Those of several releases over the same data add up (lemma 1.7), also when a later release
depends on an earlier one.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from weftmesh.core.errors import InvalidInputError

_ORDER_MIN, _ORDER_MAX = 1e-12, 1e12
"""Of Renyi orders less 1, between which the best one is looked for."""
_SEARCH_STEPS: Final = 200
_GOLDEN: Final = (math.sqrt(5) - 1) / 2


def gaussian_rho(sensitivity: Fraction, sigma: Fraction) -> Fraction:
    """The cost of a sum with Gaussian noise, continuous or discrete: sensitivity^2 / (2 sigma^2).

    Proposition 1.6 of Bun and Steinke; for the discrete Gaussian theorem 4 of Canonne, Kamath and Steinke (2020).

    Args:
        sensitivity: by how much one unit of privacy can move the sum, as a Euclidean length.
        sigma: standard deviation of the noise of each number, in the same unit.
    """
    return (sensitivity / sigma) ** 2 / 2


def epsilon_of(rho: float, delta: float) -> float:
    """The smallest epsilon for which rho-zCDP is known here to imply (epsilon, delta)-differential privacy.

    Canonne, Kamath and Steinke (2020), proposition 12 and corollary 13: for every order a > 1, a release of rho-zCDP
    has delta = exp((a - 1) (a rho - epsilon)) / (a - 1) * (1 - 1 / a)^a. Every order gives an epsilon that holds, so
    that a search that misses the best one errs on the safe side. It is below rho + 2 sqrt(rho ln(1 / delta)), which is
    better known.

    Args:
        rho: at least 0.
        delta: above 0 and below 1.

    Raises:
        InvalidInputError: they are not.
    """
    if not (rho >= 0 and math.isfinite(rho) and 0 < delta < 1):
        raise InvalidInputError(f"rho {rho} and delta {delta}: rho is at least 0, delta above 0 and below 1")
    if rho == 0:
        return 0.0
    low, high = math.log(_ORDER_MIN), math.log(_ORDER_MAX)
    for _ in range(_SEARCH_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _epsilon_at(math.exp(left), rho, delta) <= _epsilon_at(math.exp(right), rho, delta):
            high = right
        else:
            low = left
    return max(_epsilon_at(math.exp((low + high) / 2), rho, delta), 0.0)


def _epsilon_at(less_one: float, rho: float, delta: float) -> float:
    """For the order 1 + `less_one`."""
    order = 1 + less_one
    # (1 - 1/a)^a / (a - 1) = (a - 1)^(a - 1) / a^a, without the cancellation of 1 - 1/a in small orders.
    log_factor = less_one * math.log(less_one) - order * math.log1p(less_one)
    return order * rho + (log_factor - math.log(delta)) / less_one


def rho_for(epsilon: float, delta: float) -> float:
    """The largest rho, to a part in a billion, whose `epsilon_of` is at most `epsilon`.

    Args:
        epsilon: above 0, at most 1e6.
        delta: above 0 and below 1.

    Raises:
        InvalidInputError: they are not.
    """
    if not 0 < epsilon <= _EPSILON_MAX:
        raise InvalidInputError(f"epsilon {epsilon}: has to be above 0 and at most {_EPSILON_MAX:g}")
    low, high = 0.0, epsilon
    while epsilon_of(high, delta) <= epsilon:
        low, high = high, 2 * high
    while high - low > _RHO_PRECISION * high:
        middle = (low + high) / 2
        if epsilon_of(middle, delta) <= epsilon:
            low = middle
        else:
            high = middle
    return low


_EPSILON_MAX: Final = 1e6
_RHO_PRECISION: Final = 1e-9
