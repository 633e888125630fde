"""What is compared: forecasts of the cycle times of a team's next tasks, each from what was known at a cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.finish_time.export import Record, Team
from benchmarks.finish_time.rounds import trained
from weftmesh.core.forecast.cycle_time import PHASES
from weftmesh.core.forecast.finish import forecast_finish
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.forecast.finish_model import FinishModel
from weftmesh.core.forecast.finish_pace import PaceSettings, own_history_s, team_pace
from weftmesh.core.forecast.quantiles import LEVELS, Observation, censored_quantile, empirical_quantile

Quantiles = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A forecast that is wanted: of this record, after it was open for so long."""

    record: Record
    open_for_s: float = 0.0


Forecaster = Callable[[Sequence[Asked]], list[Quantiles]]
"""For each task asked about its P50, P85 and P95 cycle time, seconds."""
Method = Callable[[Team, float, FinishModel], Forecaster]
"""Of a team, a cut in Unix seconds, and the model trained at the cut."""


def own_history(count: int) -> Method:
    """The team's own quantiles over the last `count` resolved tasks."""

    def method(team: Team, cut_s: float, _: FinishModel) -> Forecaster:
        history = own_history_s([record.task.times for record in team.records], cut_s, count)
        return lambda asked: [_rest(history, one.open_for_s) for one in asked]

    return method


def own_history_censored(count: int) -> Method:
    """The team's own Kaplan-Meier quantiles over the last `count` created tasks."""

    def method(team: Team, cut_s: float, _: FinishModel) -> Forecaster:
        times = [one.task.times.known_at(cut_s) for one in team.records if one.task.times.created_s <= cut_s]
        seen = [Observation(one.duration_s(cut_s), one.resolved_s is not None) for one in times[-count:]]
        quantiles = tuple(censored_quantile(seen, level) for level in LEVELS)
        return lambda asked: [quantiles] * len(asked)

    return method


def hazards(settings: PaceSettings | None = None) -> Method:
    """The forecast under test: shared weights over the team's own rates."""

    def method(team: Team, cut_s: float, model: FinishModel) -> Forecaster:
        records = [(record.task.times, record.features) for record in team.records]
        pace = team_pace(model, records, cut_s, settings)
        return lambda asked: [
            forecast_finish(model, pace, one.record.features, one.open_for_s).cycle_times_s for one in asked
        ]

    return method


def rates_only(team: Team, cut_s: float, model: FinishModel) -> Forecaster:
    """The same without features: what the shared weights add."""
    nothing = FinishModel(model.version, model.means, model.deviations, ((0.0,) * len(FEATURES),) * PHASES, model.rates)
    return hazards()(team, cut_s, nothing)


def alone(team: Team, cut_s: float, _: FinishModel) -> Forecaster:
    """The same with weights that the team trained alone: what the other teams add."""
    return hazards()(team, cut_s, trained([team], cut_s))


def _rest(history_s: Sequence[float], open_for_s: float) -> Quantiles:
    """Quantiles of those that took longer than a task is open already; its age where none did."""
    longer = [one for one in history_s if one > open_for_s] if open_for_s else history_s
    return tuple(empirical_quantile(longer, level) if longer else open_for_s for level in LEVELS)
