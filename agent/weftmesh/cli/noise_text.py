"""What a job's noise policy promises and what of its budget is spent, as people and scripts read it."""

from __future__ import annotations

from typing import Any

from weftmesh.core.learning.model import NoisePolicy
from weftmesh.core.learning.privacy import NANO_RHO, epsilon_at_delta, sum_cost_nano_rho
from weftmesh.learning.v1 import row_pb2
from weftmesh.runtime.wire.learning_records import read


def budget_json(row: row_pb2.Job) -> dict[str, Any] | None:
    """The budget in rho and in epsilon, what is spent of it, and for how many sums the rest is enough."""
    if not row.HasField("noise"):
        return None
    noise = read(NoisePolicy, row.noise)
    left_nano_rho = noise.budget_nano_rho - row.spent_nano_rho
    return {
        "delta": noise.delta,
        "epsilon_budget": epsilon_at_delta(noise, noise.budget_nano_rho),
        "epsilon_spent": epsilon_at_delta(noise, row.spent_nano_rho),
        "rho_budget": noise.budget_nano_rho / NANO_RHO,
        "rho_spent": row.spent_nano_rho / NANO_RHO,
        "rho_left": left_nano_rho / NANO_RHO,
        "sums_left": left_nano_rho // sum_cost_nano_rho(noise),
    }


def budget_text(row: row_pb2.Job) -> str:
    """The same in a line; empty for a job that promises nothing."""
    budget = budget_json(row)
    if budget is None:
        return ""
    noise = row.noise
    return (
        f"epsilon {budget['epsilon_spent']:.3g} of {budget['epsilon_budget']:.3g} at delta {noise.delta:g} is spent "
        f"(rho {budget['rho_spent']:.4g} of {budget['rho_budget']:.4g}), {budget['sums_left']} more sums; noise "
        f"{noise.sigma:.4g} at clip {noise.clip:g}, though {noise.colluders} collude"
    )


def is_spent(row: row_pb2.Job) -> bool:
    """Whether the budget pays for no further sum."""
    budget = budget_json(row)
    return budget is not None and not budget["sums_left"]
