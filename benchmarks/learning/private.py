"""What noise costs a training of 16 nodes, in forecasts and in processor time.

Run as `python -m benchmarks.learning.private [EPSILON ...]`: 60 rounds in this process at each epsilon, each node's
vector clipped and with its share of noise, as learners do it. With `--counts` the noise is on document counts alone.
The issues are not part of the repository; see `benchmarks/learning/dataset.py`.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from functools import reduce
from operator import add
from statistics import fmean
from time import process_time
from typing import Final

import numpy as np

from benchmarks.learning import dataset
from benchmarks.learning.dataset import Project
from benchmarks.learning.forecasting import median_error, model_error
from weftmesh.cli.noise_options import CLIP_DEFAULT, COLLUDERS_DEFAULT, DELTA_DEFAULT, policy
from weftmesh.core.aggregation.terms import threshold_for
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.averaging import ROUNDS, server_step
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import COUNTS_LENGTH, DIMENSIONS, DocumentCounts, FeatureStatistics
from weftmesh.core.noise.shares import NoiseShare, share_of_noise
from weftmesh.learner.count_noise import KEY_BYTES, with_noise
from weftmesh.learner.effort import HEAD
from weftmesh.learner.noising import noised
from weftmesh.learner.training.round import TrainingSettings, train_round
from weftmesh.learner.training.team import TeamData
from weftmesh.runtime.masking import ContributionLayout, Reals, Words, decode_words

EPSILONS: Final = (8.0, 1e3, 1e5)
COUNT_SIGMAS: Final = (0, 2, 4, 8, 16, 32)
KEYS: Final = 3
DRAWS: Final = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("epsilons", nargs="*", type=float, default=EPSILONS, metavar="EPSILON")
    parser.add_argument("--counts", action="store_true", help="noise on document counts, nothing else")
    options = parser.parse_args()
    print(f"noise of one vector of {DIMENSIONS + 2} words: {noising_ms():.0f} ms (best of {DRAWS})", flush=True)
    if not dataset.available():
        sys.exit(f"{dataset.DATA} is not there: the issues are not part of the repository")
    projects = dataset.load()
    print(f"median: {fmean(median_error(one.history, one.test) for one in projects):.3f}")
    if options.counts:
        for sigma in COUNT_SIGMAS:
            print(count_line_of(projects, sigma), flush=True)
        return
    for epsilon in options.epsilons:
        print(line_of(projects, epsilon), flush=True)


def noising_ms() -> float:
    """Processor time to clip one vector and to draw its noise."""
    share = share_of_noise(CLIP_DEFAULT, 1.0, threshold_for(16), COLLUDERS_DEFAULT)
    words = ContributionLayout(DIMENSIONS, ("loss",)).pack(np.ones(DIMENSIONS), 1.0, {"loss": 1.0})
    taken = []
    for _ in range(DRAWS):
        started = process_time()
        noised(words, share, secrets.SystemRandom().randbytes)
        taken.append(process_time() - started)
    return min(taken) * 1_000


def line_of(projects: Sequence[Project], epsilon: float) -> str:
    """A training with this budget, and the mean absolute error of its model on the test rows."""
    noise = policy(epsilon, DELTA_DEFAULT, CLIP_DEFAULT, COLLUDERS_DEFAULT, rounds=ROUNDS, spent_nano_rho=0)
    share = share_of_noise(noise.clip, noise.sigma, threshold_for(len(projects)), noise.colluders)
    layout = ContributionLayout(COUNTS_LENGTH)
    counts = [np.asarray(DocumentCounts.of(one.history.texts).to_vector()) for one in projects]
    total = sum_of([layout.pack(one, 1.0, {}) for one in counts], share)
    statistics = DocumentCounts.from_vector(total[:COUNTS_LENGTH].tolist()).statistics()
    error, lost = error_of(projects, statistics, share)
    return f"epsilon {epsilon:g}: sigma {noise.sigma:.3g}, {lost} of {ROUNDS} rounds made nothing, error {error:.3f}"


def count_line_of(projects: Sequence[Project], sigma: int) -> str:
    """Mean absolute errors with this noise on each node's counts, once for each key."""
    errors = []
    for key in range(KEYS if sigma else 1):
        counts = [DocumentCounts.of(one.history.texts) for one in projects]
        if sigma:
            keys = (bytes([key]) * (KEY_BYTES - 1) + bytes([number]) for number in range(len(counts)))
            counts = [with_noise(one, HEAD, own, sigma) for one, own in zip(counts, keys, strict=True)]
        errors.append(error_of(projects, reduce(add, counts).statistics(), None)[0])
    return f"counts with sigma {sigma}: errors {', '.join(f'{one:.3f}' for one in errors)}"


def error_of(projects: Sequence[Project], statistics: FeatureStatistics, share: NoiseShare | None) -> tuple[float, int]:
    """The error on the test rows after 60 rounds, and how many of them were of no use."""
    nodes = [[TeamData.of(one.history.texts, one.history.efforts, statistics)] for one in projects]
    model, lost = EffortModel.untrained(statistics), 0
    layout = ContributionLayout(DIMENSIONS, ("loss",))
    for _ in range(ROUNDS):
        updates = [train_round(teams, model, TrainingSettings()) for teams in nodes]
        # The loss that goes with an update is about 1.
        vectors = [layout.pack(one.change.astype(np.float64), one.weight, {"loss": 1.0}) for one in updates]
        try:
            mean = layout.unpack(sum_of(vectors, share))
            model = server_step(model, mean.update.tolist())
        except InvalidInputError:
            lost += 1
    return fmean(model_error(model, one.history, one.test) for one in projects), lost


def sum_of(vectors: Sequence[Words], share: NoiseShare | None) -> Reals:
    """What a coordinator unmasks."""
    rng = secrets.SystemRandom()
    sent = vectors if share is None else [noised(vector, share, rng.randbytes) for vector in vectors]
    return decode_words(np.sum(sent, axis=0, dtype=np.uint64))


if __name__ == "__main__":
    main()
