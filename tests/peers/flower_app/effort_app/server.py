"""The server app of a SuperLink: the product's strategy and step, from the version in a file to one in another."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from flwr.serverapp import ServerApp

from weftmesh.coordinator.model_steps import EffortStep
from weftmesh.coordinator.strategy import SteppingFedAvg
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.effort import HEAD
from weftmesh.runtime.flower import ArrayRecord, ConfigRecord, Context, Grid
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import model_arrays, model_of

MODEL = "model"
TIMES = "times.json"
"""What is written into the directory of the results, the times last."""

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train some rounds; see pyproject.toml for the settings."""
    config = {name: str(value) for name, value in context.run_config.items()}
    results, rounds = Path(config["results"]), int(config["rounds"])
    settings = RoundSettings(HEAD, RoundKind.TRAINING, as_of_s=float(config["as-of-s"]))
    ends_s: list[float] = []

    def round_is_over(_round: int, _arrays: ArrayRecord) -> None:
        ends_s.append(perf_counter())

    strategy = SteppingFedAvg(EffortStep(), contributors_min=int(config["nodes"]))
    trained = strategy.start(
        grid,
        model_arrays(Path(config["model"]).read_bytes()),
        num_rounds=rounds,
        timeout=float(config["timeout-s"]),
        train_config=ConfigRecord(dict(settings.to_config())),
        evaluate_fn=round_is_over,
    )
    made = len(trained.train_metrics_clientapp)
    if made != rounds:
        raise RuntimeError(f"{rounds - made} of {rounds} rounds changed nothing: too few nodes gave a usable update")
    (results / MODEL).write_bytes(model_of(trained.arrays))
    times_s = [end - begin for begin, end in pairwise(ends_s)]
    (results / TIMES).write_text(json.dumps(times_s))
