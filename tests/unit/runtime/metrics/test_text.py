"""Texts of metrics are what Prometheus' own parsers read back, whatever the labels say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric as Parsed
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from weftmesh.runtime.metrics.histogram import Histogram
from weftmesh.runtime.metrics.model import LABEL_CHARACTERS_MAX, SERIES_MAX, Exposition, Kind, Metric
from weftmesh.runtime.metrics.text import OPENMETRICS, PROMETHEUS, Format, chosen_format, written

PARSERS: dict[Format, Callable[[str], Iterable[Parsed]]] = {
    OPENMETRICS: parse_openmetrics,
    PROMETHEUS: parse_prometheus,
}
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=LABEL_CHARACTERS_MAX)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)

GAUGE = Metric("weft_gauge", Kind.GAUGE, 'help with "quotes", \\ and\nlines', labels=("one", "two"))
COUNTER = Metric("weft_sent_bytes", Kind.COUNTER, "bytes", "bytes", ("one",))
TIMES = Metric("weft_times_seconds", Kind.HISTOGRAM, "times", "seconds", ("one",))
WORD = Metric("weft_build", Kind.INFO, "words", labels=("one",))


def samples(text: str, form: Format) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in PARSERS[form](text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


@pytest.mark.parametrize("form", [OPENMETRICS, PROMETHEUS])
@given(series=st.dictionaries(st.tuples(WORDS, WORDS), NUMBERS, min_size=1, max_size=5))
def test_a_parser_reads_back_every_label_and_number(form: Format, series: dict[tuple[str, str], float]) -> None:
    out = Exposition()
    for labels, value in series.items():
        out.add(GAUGE, value, *labels)
    read = {(one["one"], one["two"]): value for _, one, value in samples(written(out, form).decode(), form)}
    assert read == {labels: float(value) for labels, value in series.items()}


@given(values=st.lists(st.floats(0, 10), max_size=50), count=st.integers(0, 2**60))
def test_openmetrics_names_types_and_units(values: list[float], count: int) -> None:
    out, times = Exposition(), Histogram((0.5, 1.0, 2.5))
    for value in values:
        times.observe(value)
    out.add(TIMES, times, "a")
    out.add(COUNTER, count, "a")
    out.add(WORD, 1, "a")
    text = written(out, OPENMETRICS).decode()
    families = {one.name: one for one in PARSERS[OPENMETRICS](text)}
    assert [(one.name, one.type, one.unit) for one in families.values()] == [
        ("weft_build", "info", ""),
        ("weft_sent_bytes", "counter", "bytes"),
        ("weft_times_seconds", "histogram", "seconds"),
    ]
    assert [one.value for one in families["weft_sent_bytes"].samples] == [count]
    read = {one.labels.get("le", one.name): one.value for one in families["weft_times_seconds"].samples}
    assert read["1.0"] == sum(value <= 1.0 for value in values)
    assert read["+Inf"] == read["weft_times_seconds_count"] == len(values)
    assert math.isclose(read["weft_times_seconds_sum"], sum(values), abs_tol=1e-9)
    assert text.endswith("\n# EOF\n")


def test_the_older_format_names_counters_by_their_samples() -> None:
    out = Exposition()
    out.add(COUNTER, 3, "a")
    out.add(WORD, 1, "a")
    lines = written(out, PROMETHEUS).decode().splitlines()
    assert "# TYPE weft_sent_bytes_total counter" in lines
    assert "# TYPE weft_build_info gauge" in lines
    assert not any(line.startswith(("# UNIT", "# EOF")) for line in lines)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/html", PROMETHEUS),
        ("text/plain; version=0.0.4", PROMETHEUS),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; charset=utf-8; version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9", PROMETHEUS),
        ("application/openmetrics-text;version=2.0.0,text/plain;version=0.0.4;q=0.2", PROMETHEUS),
        ("application/openmetrics-text;q=0, text/plain;q=0.1", PROMETHEUS),
        ("application/openmetrics-text;q=nonsense", PROMETHEUS),
        # What Prometheus 2.42 and 3.x send.
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
            "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPENMETRICS,
        ),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept: str, form: Format) -> None:
    assert chosen_format(accept) is form


@given(WORDS)
def test_any_accept_header_gets_a_format(accept: str) -> None:
    assert chosen_format(accept) in (OPENMETRICS, PROMETHEUS)


def test_series_beyond_the_bound_are_left_out_and_counted() -> None:
    out = Exposition()
    for number in range(SERIES_MAX + 7):
        out.add(COUNTER, number, str(number))
    assert out.left_out == 7
    assert len(list(samples(written(out, OPENMETRICS).decode(), OPENMETRICS))) == SERIES_MAX


def test_a_long_label_is_cut() -> None:
    out = Exposition()
    out.add(COUNTER, 1, "x" * 1_000)
    [(_, labels, _)] = samples(written(out, OPENMETRICS).decode(), OPENMETRICS)
    assert labels["one"] == "x" * LABEL_CHARACTERS_MAX


@pytest.mark.parametrize("name", ["Upper", "ends_total", "with-dash", "1st", "x_info"])
def test_a_name_that_the_formats_reserve_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        Metric(name, Kind.GAUGE, "")


def test_a_unit_that_the_name_does_not_end_with_is_refused() -> None:
    with pytest.raises(ValueError, match="unit"):
        Metric("weft_times", Kind.GAUGE, "", "seconds")


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        Exposition().add(COUNTER, 1)
    with pytest.raises(ValueError, match="histogram"):
        Exposition().add(TIMES, 1.0, "a")
