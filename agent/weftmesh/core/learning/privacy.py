"""What an unmasked sum costs a job's privacy budget, in whole billionths of rho: the same on every replica."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from weftmesh.core.learning.model import Job, NoisePolicy

NANO_RHO: Final = 1_000_000_000


def sum_cost_nano_rho(noise: NoisePolicy | None) -> int:
    """The cost of one sum, rounded up: sensitivity^2 / (2 sigma^2) in zero-concentrated differential privacy.

    M. Bun and T. Steinke, "Concentrated Differential Privacy: Simplifications, Extensions, and Lower Bounds" (TCC
    2016), proposition 1.6; costs of several sums add up (lemma 1.7). The noise is assumed to be that of the whole sum.
    """
    return 0 if noise is None else math.ceil(NANO_RHO * (Fraction(noise.clip) / Fraction(noise.sigma)) ** 2 / 2)


def left_nano_rho(job: Job) -> int | None:
    """What is left of the budget; None for a job without one."""
    return None if job.noise is None else job.noise.budget_nano_rho - job.spent_nano_rho
