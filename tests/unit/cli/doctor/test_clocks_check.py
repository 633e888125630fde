from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cli.doctor.patients import answer, patient, status, survey

from weftmesh.cli.doctor.clocks import SKEW_FAILURE_S, SKEW_WARNING_S, check_clocks, wrong_clocks
from weftmesh.cli.doctor.findings import Finding, Severity

NODES = ("n1", "n2", "n3")


async def checked(directory: Path, *ahead_s: float, error_s: float = 0.001, **machine: object) -> list[Finding]:
    peers = [
        answer(name, status(name, NODES), clock_ahead_s=found, clock_error_s=error_s)
        for name, found in zip(NODES[1:], ahead_s, strict=False)
    ]
    made = patient(directory, survey(status("n1", NODES), *peers), **machine)  # type: ignore[arg-type]
    return await check_clocks(made)


async def test_clocks_that_agree_are_told_with_what_was_measured(tmp_path: Path) -> None:
    (found,) = await checked(tmp_path, 0.02, -0.03)
    assert found.severity is Severity.OK
    assert found.evidence == "n2 +20.0 ms to within 1.0 ms, n3 -30.0 ms to within 1.0 ms"


async def test_the_clock_that_is_apart_from_the_others_is_set(tmp_path: Path) -> None:
    (found,) = await checked(tmp_path, 0.0, 5.0, programs=("chronyc", "timedatectl"))
    assert (found.severity, found.summary) == (Severity.WARNING, "n3's clock is ahead by 5.0 s")
    assert [(fix.command, fix.node) for fix in found.fixes] == [("chronyc makestep", "n3")]


async def test_where_the_others_agree_it_is_this_clock_that_is_wrong(tmp_path: Path) -> None:
    (found,) = await checked(tmp_path, -3600.0, -3600.1, programs=("timedatectl",))
    assert (found.severity, found.summary) == (Severity.FAILURE, "n1's clock is ahead by 3600.0 s")
    assert [(fix.command, fix.node) for fix in found.fixes] == [("timedatectl set-ntp true", "")]


async def test_of_two_clocks_both_are_named(tmp_path: Path) -> None:
    found = await checked(tmp_path, 90.0)
    assert [one.summary for one in found] == ["n1's clock is behind by 90.0 s", "n2's clock is ahead by 90.0 s"]


async def test_a_difference_that_the_call_may_explain_is_none(tmp_path: Path) -> None:
    (found,) = await checked(tmp_path, 0.0, 2.0, error_s=0.6)
    assert found.severity is Severity.OK


async def test_without_another_clock_there_is_nothing_to_say(tmp_path: Path) -> None:
    (found,) = await check_clocks(patient(tmp_path, survey(status("n1", ("n1",)))))
    assert found.severity is Severity.SKIPPED


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=9), st.floats(-1e6, 1e6))
def test_it_makes_no_difference_which_node_asks(ahead_s: list[float], shift_s: float) -> None:
    here = {f"n{number}": found for number, found in enumerate(ahead_s)}
    there = {name: round(found + shift_s, 6) for name, found in here.items()}
    limits = (SKEW_WARNING_S, SKEW_FAILURE_S)
    close = {
        name for name, apart_s in wrong_clocks(here, 0.0).items() if any(abs(abs(apart_s) - x) < 1e-3 for x in limits)
    }
    assert set(wrong_clocks(here, 0.0)) - close == set(wrong_clocks(there, 0.0)) - close


@given(st.dictionaries(st.text(min_size=1), st.floats(0, SKEW_WARNING_S / 2), min_size=1))
def test_clocks_within_the_limit_are_never_wrong(ahead_s: dict[str, float]) -> None:
    assert wrong_clocks(ahead_s, 0.0) == {}
