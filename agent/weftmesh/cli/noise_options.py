"""The options of `learn run` that promise noise: a budget in epsilon becomes the noise policy of a job."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.core.learning.privacy import NANO_RHO
from weftmesh.core.noise.zcdp import rho_for
from weftmesh.learning.v1.command_pb2 import NoisePolicy

CLIP_DEFAULT: Final = 5.0
"""A node with 25 labels has about this length; one with more counts for no more."""
DELTA_DEFAULT: Final = 1e-6
COLLUDERS_DEFAULT: Final = 1
OTHER_SUMS: Final = 2
"""Beside the rounds of a training: a count, and an evaluation of its last version."""
SPARE: Final = 0.1
"""Share of the sums that is put by for those that are lost when a coordinator dies."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


def noise_options(command: _Command) -> _Command:
    """Adds --epsilon, --delta, --clip and --colluders; see `policy`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: Final = (
    click.option(
        "--epsilon",
        type=float,
        help="Promise differential privacy: all sums of the job together keep to this, and then there are no more.  "
        "[default: as the job is; a new one promises nothing]",
    ),
    click.option("--delta", type=float, default=DELTA_DEFAULT, show_default=True, help="With --epsilon."),
    click.option(
        "--clip",
        type=float,
        default=CLIP_DEFAULT,
        show_default=True,
        help="With --epsilon: all that a node sends to a sum is no longer than this.",
    ),
    click.option(
        "--colluders",
        type=click.IntRange(min=0),
        default=COLLUDERS_DEFAULT,
        show_default=True,
        help="With --epsilon: it holds if so many contributors pool what they know.",
    ),
)


def policy(
    epsilon: float, delta: float, clip: float, colluders: int, *, rounds: int, spent_nano_rho: int
) -> NoisePolicy:
    """The policy whose budget is this epsilon and pays for so many rounds, with the noise that this takes.

    Args:
        epsilon: for everything that the job ever spends, what it spent already included.
        delta: above 0 and below 1.
        clip: the most that one contributor's vector may weigh.
        colluders: contributors that may pool what they know.
        rounds: training rounds to come.
        spent_nano_rho: by the job, so far.

    Raises:
        InvalidInputError: numbers that mean nothing.
        PreconditionError: nothing is left of such a budget.
    """
    if not (clip > 0 and math.isfinite(clip)):
        raise InvalidInputError(f"--clip {clip}: has to be above 0")
    budget_nano_rho = math.floor(rho_for(epsilon, delta) * NANO_RHO)
    sums = rounds + OTHER_SUMS + math.ceil(rounds * SPARE)
    cost_nano_rho = (budget_nano_rho - spent_nano_rho) // sums
    if cost_nano_rho < 1:
        raise PreconditionError(
            f"--epsilon {epsilon:g} at delta {delta:g} is {budget_nano_rho} billionths of rho; {spent_nano_rho} are "
            f"spent, and {sums} sums are to come: allow more, or ask for fewer rounds",
            reason="BUDGET_SPENT",
        )
    # Rounding must not make the last sum dearer than what is left for it.
    sigma = clip / math.sqrt(2 * cost_nano_rho / NANO_RHO) * (1 + 1e-12)
    return NoisePolicy(clip=clip, sigma=sigma, budget_nano_rho=budget_nano_rho, delta=delta, colluders=colluders)
