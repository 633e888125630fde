"""What would change, what is wrong together, and who feels it."""

from __future__ import annotations

import random
from dataclasses import replace
from time import process_time

import pytest
from tests.unit.core.ola.agreements import agreement, hard, hours, p99, ppb, soft

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import (
    Agreement,
    Endpoint,
    Exclusion,
    Hours,
    OpenTask,
    Probe,
    ProbeKind,
    RouteMode,
    RouteSettings,
    ServiceClass,
    Throughput,
    Uptime,
)
from weftmesh.core.ola.plan import Added, Changed, Removed, plan
from weftmesh.core.ola.plan_changes import FieldChange, changed_fields


def messages(*agreements: Agreement) -> list[str]:
    return [f"{one.agreement}: {one.problem.message}" for one in plan([], agreements).problems]


def test_a_promise_above_its_dependencies_is_told_with_the_chain() -> None:
    found = plan(
        [],
        [
            agreement("payments", "99.95", hard("ledger"), hard("bank-a", "bank-b"), hard("fx", cached="90")),
            agreement("ledger", "99.9"),
            agreement("bank-a", "98"),
            agreement("bank-b", "99"),
            agreement("fx", "99.5"),
        ],
    )
    (problem,) = found.problems
    assert problem.problem.message == (
        "payments promises 99.95 % but its dependencies can give at most 99.83 %, if they fail independently:"
        " ledger 99.9 % x fx 99.5 % (a cache answers 90 %; 99.95 %) x bank-a 98 % or bank-b 99 % (99.98 %)"
    )
    assert problem.problem.fix == "promise at most 99.83 %, or make ledger better, soft, cached or one of several"
    assert problem.problem.path == ("objectives", "uptime")
    assert found.applicable, "a promise that cannot be kept can be run"


def test_the_chain_goes_down_to_who_is_the_reason() -> None:
    found = messages(
        agreement("top", "99.9", hard("mid")), agreement("mid", "99.9", hard("db")), agreement("db", "99.5")
    )
    assert found == [
        "mid: mid promises 99.9 % but its dependencies can give at most 99.5 %, if they fail independently: db 99.5 %",
        "top: top promises 99.9 % but its dependencies can give at most 99.5 %, if they fail independently:"
        " mid 99.5 % (because of db 99.5 %)",
    ]


def test_a_bound_is_cut_and_shown_with_the_digits_of_the_promise() -> None:
    (found,) = messages(agreement("top", "99.999", hard("a")), agreement("a", "99.9989999"))
    assert "promises 99.999 % but its dependencies can give at most 99.998 %" in found


def test_a_promise_that_equals_its_bound_is_kept() -> None:
    assert not messages(agreement("top", "99.9", hard("a")), agreement("a", "99.9"))


def test_response_times_that_add_up_to_more_than_promised_are_told() -> None:
    (found,) = messages(
        agreement("top", "", hard("a"), hard("b"), objectives=(p99(60),)),
        agreement("a", objectives=(p99(40),)),
        agreement("b", objectives=(p99(35),)),
    )
    assert found == (
        "top: top promises 99 % within 60ms, but its dependencies promise 99 % within 75ms together, if they are asked"
        " one after another and are slow independently: a 40ms + b 35ms"
    )


def test_a_circle_and_an_unknown_name_block() -> None:
    found = plan([], [agreement("a", "", hard("b")), agreement("b", "", hard("a"), hard("x"))])
    assert [one.problem.message for one in found.problems] == [
        "agreements need each other in a circle: a > b > a",
        "there is no agreement x",
    ]
    assert not found.applicable


def test_an_unknown_soft_dependency_does_not_block() -> None:
    assert plan([], [agreement("a", "", soft("x"))]).applicable


def test_a_critical_service_needs_critical_ones() -> None:
    critical = agreement("a", "", hard("b"), hard("b", "c"), service_class=ServiceClass.CRITICAL)
    found = messages(critical, agreement("b"), agreement("c", service_class=ServiceClass.CRITICAL))
    assert found == ["a: a is critical but needs b, which runs as normal"]


def test_a_longer_window_of_a_dependency_is_told() -> None:
    found = messages(agreement("a", "", hard("b"), window_s=7 * 86_400), agreement("b"))
    assert found == [
        "a: a is judged over 7d but b over 28d: it may spend 4 times the budget of 7d within 7d and keep its promise"
    ]
    assert not messages(agreement("a", "", hard("b")), agreement("b", window_s=86_400))


@pytest.mark.parametrize(
    ("mine", "its", "gap"),
    [
        (hours(7, 19), hours(8, 19), "mon 07:00 Europe/Berlin"),
        (Hours(), hours(8, 20), "mon 00:00 Europe/Berlin"),
        (hours(8, 18), hours(7, 19), ""),
        (hours(8, 18), Hours(), ""),
        (hours(9, 17), hours(8, 16, timezone="Europe/London"), ""),
        (hours(9, 18), hours(8, 16, timezone="Europe/London"), "thu 17:00 Europe/Berlin in January"),
        (hours(14, 20), hours(8, 20, timezone="America/New_York"), ""),
        (hours(14, 18, timezone="America/New_York"), hours(20, 24), "mon 14:00 America/New_York in March"),
    ],
)
def test_hours_have_to_cover_the_dependents_hours(mine: Hours, its: Hours, gap: str) -> None:
    found = messages(agreement("a", "", hard("b"), hours=mine), agreement("b", hours=its))
    if not gap:
        assert not found
        return
    assert found[0] == f"a: a holds at hours at which b does not, first {gap}"


def test_agreements_about_one_service_share_its_endpoints_and_route() -> None:
    one, other = (Endpoint(name, f"10.0.0.{name}:80") for name in "12")
    first = agreement("a", service="pay", endpoints=(one, other))
    assert not messages(first, agreement("b", service="pay", endpoints=(other, one)), agreement("c", service="pay"))
    second = agreement("b", service="pay", endpoints=(one,), route=RouteSettings(RouteMode.ACT))
    found = plan([], [first, second])
    assert [one.problem.path for one in found.problems] == [("endpoints",), ("route",)]
    assert not found.applicable


def test_what_is_not_named_stays_unless_it_is_pruned() -> None:
    old, new = [agreement("a"), agreement("b", "99")], [agreement("c"), agreement("b", "99.5")]
    change = Changed("b", (FieldChange("objectives.uptime", "99 %", "99.5 %"),))
    assert plan(old, new).changes == (change, Added("c"))
    assert plan(old, new, prune=True).changes == (Removed("a"), change, Added("c"))


def test_the_same_again_changes_nothing() -> None:
    both = [agreement("a", "99", hard("b")), agreement("b", "99.9")]
    assert plan(both, reversed(both)).changes == ()
    assert plan(both, both).affected == ()


def test_dependents_of_a_change_are_told_with_what_they_could_give_before_and_after() -> None:
    old = [agreement("top", "99", hard("mid")), agreement("mid", "", hard("db")), agreement("db", "99.9")]
    found = plan(old, [agreement("db", "99.5")]).affected
    assert [(one.name, one.path) for one in found] == [("mid", ("mid", "db")), ("top", ("top", "mid", "db"))]
    assert [(str(one.before), str(one.after)) for one in found] == [("999/1000", "199/200")] * 2


def test_who_needs_a_removed_agreement_is_affected_and_wrong() -> None:
    found = plan(
        [agreement("top", "", hard("db")), agreement("db", "99")], [agreement("top", "", hard("db"))], prune=True
    )
    assert [one.name for one in found.affected] == ["top"]
    assert [one.problem.message for one in found.problems] == ["there is no agreement db"]


def test_two_agreements_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="two agreements are named a"):
        plan([], [agreement("a"), agreement("a", "99")])


def test_every_field_shows_its_change_in_the_words_of_a_file() -> None:
    before = agreement("a", "99.9", hard("x"), endpoints=(Endpoint("e1", "h:1"), Endpoint("e2", "h:2", zone="z")))
    after = replace(
        before,
        provider="team-c",
        objectives=(Uptime(ppb("99.95")), p99(60), Throughput(ppb("99"), 200, 1000)),
        window_s=7 * 86_400,
        hours=hours(7, 19),
        probes=(Probe(ProbeKind.HTTP, 1000, 300, "/healthz"),),
        endpoints=(Endpoint("e2", "h:3"),),
        depends_on=(hard("x", cached="90"),),
        on_breach=(OpenTask("OPS", "look"),),
        exclusions=(Exclusion("patching", "2026-01-04T02:00:00", 7200, rrule="FREQ=WEEKLY"),),
        labels=(("team", "pay"),),
    )
    assert {one.field: (one.before, one.after) for one in changed_fields(before, after)} == {
        "provider": ("team-a", "team-c"),
        "window": ("28d", "7d"),
        "hours.timezone": ("UTC", "Europe/Berlin"),
        "hours.weekly": ("always", "mon tue wed thu fri 07:00-19:00"),
        "objectives.uptime": ("99.9 %", "99.95 %"),
        "objectives.responseTime.p99": (None, "60ms"),
        "objectives.throughput": (None, "200 per 1s, 99 % of the time"),
        "probes": (None, "http /healthz every 1s, timeout 300ms"),
        "endpoints.e1.address": ("h:1", None),
        "endpoints.e1.capacity": ("1", None),
        "endpoints.e2.address": ("h:2", "h:3"),
        "endpoints.e2.zone": ("z", None),
        "dependsOn.x": ("hard", "hard, cached 90 %"),
        "onBreach": (None, "open a task in OPS: look"),
        "exclusions": (None, "patching: 2026-01-04T02:00:00 UTC for 2h, FREQ=WEEKLY"),
        "labels.team": (None, "pay"),
    }


def test_a_new_exclusion_is_one_change_wherever_it_stands() -> None:
    first, second = (Exclusion(reason, "2026-01-04T02:00:00", 3600) for reason in ("b", "a"))
    before, after = (agreement("a", exclusions=some) for some in ((first,), (second, first)))
    (change,) = changed_fields(before, after)
    assert (change.field, change.before) == ("exclusions", None)


def large_mesh(count: int = 200, endpoints: int = 50) -> list[Agreement]:
    drawn = random.Random(5)
    return [
        agreement(
            f"a{at:03d}",
            "99.9",
            *(hard(f"a{below:03d}") for below in drawn.sample(range(at), min(at, 3))),
            endpoints=tuple(Endpoint(f"e{one}", f"10.{at}.0.{one}:80", 4, "z") for one in range(endpoints)),
            hours=hours(7, 19, timezone=drawn.choice(["Europe/Berlin", "America/New_York", "Asia/Tokyo"])),
            exclusions=(Exclusion("patching", "2026-01-04T02:00:00", 7200, rrule="FREQ=WEEKLY"),),
        )
        for at in range(count)
    ]


def test_a_plan_of_200_agreements_names_each_of_10_000_endpoints_that_changed() -> None:
    new = large_mesh()
    old = [replace(one, endpoints=tuple(replace(end, capacity=2) for end in one.endpoints)) for one in new]
    found = [one for one in plan(old, new).changes if isinstance(one, Changed)]
    assert sum(len(one.fields) for one in found) == 10_000
    assert found[7].fields[3] == FieldChange("endpoints.e11.capacity", "2", "4")


def test_a_plan_of_agreements_that_need_many_others_takes_no_more_than_its_size() -> None:
    """Each of the reasons is a way down through all that is below."""

    def took_s(size: int) -> float:
        names = [f"n{at:03d}" for at in range(size)]
        mesh = [agreement(name, "99.9", *map(hard, names[at + 1 : at + 21])) for at, name in enumerate(names)]
        began_s = process_time()
        assert plan([], mesh).problems
        return process_time() - began_s

    assert took_s(320) < 24 * min(took_s(80) for _ in range(2))
