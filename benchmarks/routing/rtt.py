"""Measured round trips: 115 matrices of 99 hosts (NetLatency-Data, Seattle; MIT). They are not in the repository.

WEFTMESH_LATENCY names the file; without it `shared/data/latency` beside the repository is looked at.
"""

from __future__ import annotations

import os
import random
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.routing.scenario import STEP_S, STEPS, Grid

DATA: Final = Path(
    os.environ.get(
        "WEFTMESH_LATENCY",
        Path(__file__).resolve().parents[3] / "shared" / "data" / "latency" / "seattle_rtt_99x99_every6th.npz",
    )
)
RTT_MAX_S: Final = 3.0


def available() -> bool:
    """Whether the matrices are there."""
    return DATA.exists()


def grids(draw: random.Random, clients: int, endpoints: int) -> list[list[Grid]]:
    """Round trips in seconds for each client and endpoint; where one was not measured, the one before goes on."""
    matrices = _matrices()
    hosts = draw.sample(range(len(matrices[0])), clients + endpoints)
    slice_s = draw.uniform(2.0, 5.0)
    first = draw.randrange(len(matrices) - int(STEPS * STEP_S / slice_s) - 1)
    return [[_grid(matrices, one, other, first, slice_s) for other in hosts[clients:]] for one in hosts[:clients]]


def _grid(matrices: list[list[list[float]]], one: int, other: int, first: int, slice_s: float) -> Grid:
    grid, before_s = [], 0.2
    for step in range(STEPS):
        value_s = matrices[first + int(step * STEP_S / slice_s)][one][other]
        if value_s > 0.0:
            before_s = min(value_s, RTT_MAX_S)
        grid.append(before_s)
    return grid


@cache
def _matrices() -> list[list[list[float]]]:
    import numpy as np

    with np.load(DATA) as stored:
        matrices: list[list[list[float]]] = stored["rtt"].astype(float).tolist()
    return matrices
