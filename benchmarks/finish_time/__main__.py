"""Forecasts of cycle times on a real export, beside the team's own history.

Run as `python -m benchmarks.finish_time [--cuts validation] [--variants] [--newest 1000]`; it needs numpy (the
learner's extra) and the whole export, which is not part of this repository. At each cut the model is trained, and each
team's rates and history are taken, from what was known then; it is tested on the tasks that were created until the next
cut, and on those that were open at the cut. Writes build/bench/finish-time.json.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.finish_time import speed, table
from benchmarks.finish_time.export import Team, newest, read
from benchmarks.finish_time.methods import (
    Asked,
    Method,
    alone,
    hazards,
    own_history,
    own_history_censored,
    rates_only,
)
from benchmarks.finish_time.rounds import rounds
from benchmarks.finish_time.scores import Outcome
from benchmarks.report import Row
from weftmesh.agent.learning.finish_rows import TASKS_NEWEST
from weftmesh.core.forecast.cycle_time import DAY_S
from weftmesh.core.forecast.finish_bytes import decode_model
from weftmesh.core.forecast.finish_pace import HISTORY_TASKS, PaceSettings

EXPORT: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "board_jira_export.csv.gz"
RESOLVED_MIN: Final = 30
"""A team with fewer resolved tasks at a cut is not tested there: it has no history to compare with."""
REFERENCE: Final = "own history"
TESTED: Final = "weftmesh"
METHODS: Final[Mapping[str, Method]] = {
    REFERENCE: own_history(HISTORY_TASKS),
    "own history, last 100": own_history(100),
    "own history, last 200": own_history(200),
    "own history, Kaplan-Meier of 200": own_history_censored(200),
    TESTED: hazards(),
    "without features": rates_only,
    "weights learned alone": alone,
}
VARIANTS: Final[Mapping[str, Method]] = {
    REFERENCE: own_history(HISTORY_TASKS),
    TESTED: hazards(),
    "half-life 45 days": hazards(PaceSettings(half_life_s=45 * DAY_S)),
    "half-life 180 days": hazards(PaceSettings(half_life_s=180 * DAY_S)),
    "half-life 365 days": hazards(PaceSettings(half_life_s=365 * DAY_S)),
    "open tasks count 1": hazards(PaceSettings(open_weight=1.0)),
    "open tasks count 0.5": hazards(PaceSettings(open_weight=0.5)),
    "open tasks count 0": hazards(PaceSettings(open_weight=0.0)),
    "weak prior": hazards(PaceSettings(prior_resolutions=0.5)),
    "strong prior": hazards(PaceSettings(prior_resolutions=10.0)),
}
"""What the settings were chosen among, on the validation cuts."""
OPEN_METHODS: Final = (REFERENCE, TESTED, "without features")
CUTS: Final = {"validation": ((2012, 1), (2014, 1)), "test": ((2014, 1), (2016, 7))}
"""First cut and end of each set, year and month; a cut every quarter. Settings were chosen on the first set alone."""
MONTHS: Final = 3


def quarters(name: str) -> list[float]:
    """The cuts of a set and the end of the last one's test tasks, Unix seconds."""
    (year, month), (last_year, last_month) = CUTS[name]
    months = range(year * 12 + month - 1, last_year * 12 + last_month, MONTHS)
    return [datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC).timestamp() for number in months]


def new_tasks(team: Team, cut_s: float, until_s: float) -> Iterator[tuple[Asked, float]]:
    """The tasks that were created after a cut, with their cycle times; the few that never ended are left out."""
    for record in team.records:
        times = record.task.times
        if cut_s < times.created_s <= until_s and times.resolved_s is not None:
            yield Asked(record), times.duration_s(cut_s)


def open_tasks(team: Team, cut_s: float, _: float) -> Iterator[tuple[Asked, float]]:
    """The tasks that were open at a cut, with their cycle times."""
    for record in team.records:
        times = record.task.times
        if times.created_s <= cut_s and times.resolved_s is not None and times.resolved_s > cut_s:
            yield Asked(record, cut_s - times.created_s), times.duration_s(cut_s)


Questions = Callable[[Team, float, float], Iterator[tuple[Asked, float]]]


def run(
    everybody: list[Team], cuts: list[float], methods: Mapping[str, Method], count: int
) -> tuple[dict[str, list[Outcome]], dict[str, list[Outcome]], dict[float, tuple[float, float]]]:
    """The outcomes of each method, of new tasks and of open ones, and by cut what the rounds' own evaluation found."""
    new: dict[str, list[Outcome]] = {name: [] for name in methods}
    still_open: dict[str, list[Outcome]] = {name: [] for name in OPEN_METHODS if name in methods}
    verdicts: dict[float, tuple[float, float]] = {}
    for cut_s, until_s in itertools.pairwise(cuts):
        teams = [newest(team, cut_s, count) for team in everybody]
        with rounds(teams, cut_s) as training:
            blob = training.trained()
            verdicts[cut_s] = training.judged(blob)
        model = decode_model(blob)
        for team in teams:
            if sum((one.task.times.resolved_s or math.inf) <= cut_s for one in team.records) < RESOLVED_MIN:
                continue
            for name, method in methods.items():
                forecaster = method(team, cut_s, model)
                new[name] += _outcomes(team.name, cut_s, forecaster, list(new_tasks(team, cut_s, until_s)))
                if name in OPEN_METHODS:
                    questions = list(open_tasks(team, cut_s, until_s))
                    still_open[name] += _outcomes(team.name, cut_s, forecaster, questions)
    return new, still_open, verdicts


def _outcomes(
    team: str,
    cut_s: float,
    forecaster: Callable[[list[Asked]], list[tuple[float, ...]]],
    questions: list[tuple[Asked, float]],
) -> list[Outcome]:
    answers = forecaster([asked for asked, _ in questions])
    return [
        Outcome(team, cut_s, actual_s, forecast_s) for (_, actual_s), forecast_s in zip(questions, answers, strict=True)
    ]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Finish-time forecasts on a real export.")
    parser.add_argument("--data", type=Path, default=EXPORT, help="a Jira export, CSV in gzip")
    parser.add_argument("--cuts", choices=sorted(CUTS), default="test")
    parser.add_argument("--variants", action="store_true", help="other settings instead of other methods")
    parser.add_argument("--newest", type=int, default=TASKS_NEWEST, help="tasks of a team that a node reads")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        print(f"skipped: the export is not here: {arguments.data}; name it with --data", file=sys.stderr)
        return 0
    machine = report.machine()
    begun = time.monotonic()
    teams, cuts = read(arguments.data), quarters(arguments.cuts)
    new, still_open, verdicts = run(teams, cuts, VARIANTS if arguments.variants else METHODS, arguments.newest)
    rows = [*table.summary("new tasks", new, REFERENCE), *table.summary("open tasks", still_open, REFERENCE)]
    table.parts(new[TESTED], new[REFERENCE])
    rows += table.verdicts(verdicts)
    print()
    rows += speed.measure(teams, cuts[-1])
    rows.append(Row("whole run", "time", time.monotonic() - begun, "s"))
    name = "finish-time" + ("" if arguments.cuts == "test" else "-validation") + ("-variants" * arguments.variants)
    name += "" if arguments.newest == TASKS_NEWEST else f"-newest-{arguments.newest}"
    path = report.write(name, rows, machine)
    print(f"\n{time.monotonic() - begun:.0f} s; {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
