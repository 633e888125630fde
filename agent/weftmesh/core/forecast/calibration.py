"""A team's history that grows label by label, as a node sees it."""

from __future__ import annotations

from collections import deque

from weftmesh.core.forecast.features import SparseRow
from weftmesh.core.forecast.ordinal import LABELS_NEWEST, REFIT_LABELS, check_effort
from weftmesh.core.forecast.precedents import TeamHistory, fit_history


class TeamCalibration:
    """A team's history, fitted again after every `REFIT_LABELS` new labels on the newest `LABELS_NEWEST`.

    Scores of one calibration come from one model version; another version needs another calibration.

    Args:
        newest: how many labels are kept.
        refit: after how many new labels the history follows; the first labels count at once.
    """

    def __init__(self, newest: int = LABELS_NEWEST, refit: int = REFIT_LABELS) -> None:
        self._rows: deque[SparseRow] = deque(maxlen=newest)
        self._scores: deque[float] = deque(maxlen=newest)
        self._efforts: deque[float] = deque(maxlen=newest)
        self._young = min(refit, newest)
        self._refit = refit
        self._waiting = 0
        self._history: TeamHistory | None = None

    def add(self, row: SparseRow, score: float, effort: float) -> None:
        """Learn what a task turned out to be.

        Raises:
            InvalidInputError: the effort is negative or not finite.
        """
        check_effort(effort)
        self._rows.append(row)
        self._scores.append(score)
        self._efforts.append(effort)
        self._waiting += 1

    @property
    def history(self) -> TeamHistory | None:
        """The newest one; None before the first label."""
        young = self._history is None or self._history.scale.labels < self._young
        if self._waiting >= self._refit or (young and self._waiting):
            self._history = fit_history(self._rows, self._scores, self._efforts)
            self._waiting = 0
        return self._history
