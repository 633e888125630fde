"""What an unmasked sum costs a job's privacy budget, in whole billionths of rho: the same on every replica."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from weftmesh.core.learning.model import Job, NoisePolicy
from weftmesh.core.noise.zcdp import epsilon_of, gaussian_rho

NANO_RHO: Final = 1_000_000_000


def sum_cost_nano_rho(noise: NoisePolicy | None) -> int:
    """The cost of one sum, rounded up; see `zcdp.gaussian_rho`. Costs of several sums add up."""
    return 0 if noise is None else math.ceil(NANO_RHO * gaussian_rho(Fraction(noise.clip), Fraction(noise.sigma)))


def left_nano_rho(job: Job) -> int | None:
    """What is left of the budget; None for a job without one."""
    return None if job.noise is None else job.noise.budget_nano_rho - job.spent_nano_rho


def budget_objection(job: Job) -> str:
    """Why no sum of a job may be unmasked any more, for people; empty while the budget pays for one."""
    cost_nano_rho, left = sum_cost_nano_rho(job.noise), left_nano_rho(job)
    if left is None or cost_nano_rho <= left:
        return ""
    return (
        f"a sum of job {job.name} costs {cost_nano_rho} billionths of rho and {left} are left of its privacy budget; "
        "raise the budget or the noise if the contributors agree, or disable the job"
    )


def epsilon_at_delta(noise: NoisePolicy, nano_rho: int) -> float:
    """What a cost means as (epsilon, delta)-differential privacy, for people; no replica's state depends on it."""
    return epsilon_of(nano_rho / NANO_RHO, noise.delta)
