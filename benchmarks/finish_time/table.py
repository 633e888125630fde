"""The outcome as tables for people and rows for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from benchmarks.finish_time.scores import (
    Outcome,
    by_cut,
    by_team,
    geometric_mean,
    macro_coverage,
    ratios,
    score,
)
from benchmarks.report import Row
from weftmesh.core.forecast.quantiles import LEVELS

NAMES = tuple(f"P{level * 100:.0f}" for level in LEVELS)


def summary(title: str, outcomes: Mapping[str, Sequence[Outcome]], reference: str) -> list[Row]:
    """Print a line per method; return its figures beside the reference's."""
    base, base_teams = score(outcomes[reference]), by_team(outcomes[reference])
    print(f"\n{title}: {base.tasks} of {len(base_teams)} teams; P50/P85/P95")
    print(
        f"{'':34} {'coverage %':>16} {'of teams %':>16} {'pinball loss, days':>20} {'sum':>7} {'ratio':>6} {'won':>8}"
    )
    rows: list[Row] = []
    for name, part in outcomes.items():
        whole, teams = score(part), by_team(part)
        ratio = ratios(teams, base_teams)
        macro, total = macro_coverage(teams), sum(whole.loss_days)
        won = sum(one < 1 for one in ratio.values())
        print(
            f"{name:34} {_percent(whole.coverage):>16} {_percent(macro):>16} {_slashed(whole.loss_days):>20} "
            f"{total:7.1f} {geometric_mean(ratio.values()):6.3f} {won:>5}/{len(ratio)}"
        )
        rows += _rows(f"{title}: {name}", whole.coverage, "coverage", "fraction")
        rows += _rows(f"{title}: {name}", macro, "coverage, mean of teams", "fraction")
        rows += _rows(f"{title}: {name}", whole.loss_days, "pinball loss", "days", reference, base.loss_days)
        rows.append(Row(f"{title}: {name}", "mean ratio of teams", geometric_mean(ratio.values()), "1", reference))
        rows.append(Row(f"{title}: {name}", "teams with a smaller loss", won, f"of {len(ratio)}", reference))
    return rows


def parts(tested: Sequence[Outcome], reference: Sequence[Outcome]) -> None:
    """Print each team's and each cut's figures."""
    teams, base_teams = by_team(tested), by_team(reference)
    print(f"\n{'team':12} {'tasks':>6} {'coverage %':>16} {'pinball loss, days':>20} {'own history':>20} {'ratio':>6}")
    for name, ratio in ratios(teams, base_teams).items():
        one, base = teams[name], base_teams[name]
        print(
            f"{name:12} {one.tasks:6} {_percent(one.coverage):>16} {_slashed(one.loss_days):>20} "
            f"{_slashed(base.loss_days):>20} {ratio:6.2f}"
        )
    base_cuts = by_cut(reference)
    print(f"\n{'cut':12} {'tasks':>6} {'coverage %':>16} {'pinball loss, days':>20} {'own history':>20} {'ratio':>6}")
    for cut_s, one in by_cut(tested).items():
        base = base_cuts[cut_s]
        print(
            f"{datetime.fromtimestamp(cut_s, UTC):%Y-%m-%d}   {one.tasks:6} {_percent(one.coverage):>16} "
            f"{_slashed(one.loss_days):>20} {_slashed(base.loss_days):>20} "
            f"{sum(one.loss_days) / sum(base.loss_days):6.2f}"
        )


def verdicts(found: Mapping[float, tuple[float, float]]) -> list[Row]:
    """Print what each cut's evaluation round found: it makes the model active if its loss is the smaller one."""
    print(f"\n{'evaluation':12} {'loss':>6} {'baseline':>8}")
    for cut_s, (model, baseline) in found.items():
        print(f"{datetime.fromtimestamp(cut_s, UTC):%Y-%m-%d}   {model:6.3f} {baseline:8.3f}")
    activated = sum(model < baseline for model, baseline in found.values())
    return [Row("evaluation rounds that make a model active", "count", activated, f"of {len(found)}")]


def _rows(
    row: str,
    values: Sequence[float],
    metric: str,
    unit: str,
    peer: str | None = None,
    peer_values: Sequence[float] | None = None,
) -> list[Row]:
    found = []
    for place, (name, value) in enumerate(zip(NAMES, values, strict=True)):
        beside = None if peer_values is None else peer_values[place]
        found.append(
            Row(row, f"{name} {metric}", value, unit, peer, beside, None if beside is None else value / beside)
        )
    return found


def _percent(values: Sequence[float]) -> str:
    return "/".join(f"{100 * value:.1f}" for value in values)


def _slashed(values: Sequence[float]) -> str:
    return "/".join(f"{value:.1f}" for value in values)
