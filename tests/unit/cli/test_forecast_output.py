"""How a forecast reads on the command line."""

from __future__ import annotations

import pytest

from weftmesh.cli.commands.forecast import _effort_rows, _finish_rows, _show
from weftmesh.cli.output import Output
from weftmesh.learning.v1 import learning_pb2

DAY_S = 86_400
MODEL = learning_pb2.EffortForecast(p50=3, p85=8, p95=13, baseline=2.5, labels=120, model_version=7)
BASELINE = learning_pb2.EffortForecast(p50=2.5, p85=8, p95=13, baseline=2.5, labels=4)


def test_a_model_s_forecast_stands_above_the_baseline_and_its_sample_size() -> None:
    assert _effort_rows(learning_pb2.TaskForecast(effort=MODEL)) == [
        ["effort", "3", "8", "13", "version 7 on 120 done tasks"],
        ["effort, baseline", "2.5", "", "", "median of 120 done tasks"],
    ]


def test_a_baseline_alone_says_that_it_is_one() -> None:
    assert _effort_rows(learning_pb2.TaskForecast(effort=BASELINE)) == [
        ["effort, baseline", "2.5", "8", "13", "4 done tasks"]
    ]


def test_days_are_shown_for_what_is_known() -> None:
    found = learning_pb2.TaskForecast(finish=learning_pb2.FinishForecast(labels=12))
    for place, name in enumerate(("baseline_p50", "baseline_p85", "baseline_p95")):
        getattr(found.finish, name).seconds = (20_000 + place) * DAY_S + DAY_S // 2
    assert _finish_rows(found) == [["finish, baseline", "2024-10-04", "2024-10-05", "2024-10-06", "12 finished tasks"]]


def test_words_and_notes_follow(capsys: pytest.CaptureFixture[str]) -> None:
    found = learning_pb2.TaskForecast(effort=MODEL, notes=["there is no model for finish yet"])
    found.effort.words.add(words="rewrite, weft", weight=0.5)
    _show(Output(), found)
    shown = capsys.readouterr()
    assert "rewrite, weft" in shown.out
    assert "+0.50" in shown.out
    assert "no model for finish" in shown.err


def test_of_nothing_known_there_is_a_header_and_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    _show(Output(), learning_pb2.TaskForecast())
    assert len(capsys.readouterr().out.splitlines()) == 1
