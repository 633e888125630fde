"""Makes the process yield to everything else on the node: training can wait, a board cannot."""

from __future__ import annotations

import os
from typing import Final

NICENESS: Final = 10


def yield_to_others() -> None:
    """Lower the priority and ask for the batch class, as far as the system allows; call this before numpy is loaded.

    Not SCHED_IDLE: on a busy node a round would not end within its deadlines.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would else take every core at once
    os.nice(NICENESS)
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError:
        return  # a sandbox forbids it; niceness is what counts
