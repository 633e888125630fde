"""Figures of all scenarios as a table for people and as rows for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.report import Row
from benchmarks.routing.compare import BASELINE, OURS, OURS_PREDICTING, OURS_WEIGHTS, Figures
from benchmarks.routing.intervals import Interval, mean, ratio_of_means

PRODUCT: Final = OURS_PREDICTING
"""What a node runs: the predictor is there, behind its gate."""
REVERSALS_MAX: Final = 2
Results = Mapping[str, Sequence[Mapping[str, Figures]]]
"""For each family, for each seed, the figures of each policy."""


def violations(results: Results, family: str, policy: str) -> list[float]:
    """The shares of a policy, seed by seed."""
    return [one[policy].violations for one in results[family]]


def against_baseline(results: Results, policy: str) -> dict[str, Interval]:
    """For each family the violations of a policy, as a part of the baseline's."""
    return {
        family: ratio_of_means(violations(results, family, policy), violations(results, family, BASELINE))
        for family in results
    }


def p50_ratio(results: Results, policy: str) -> dict[str, Interval]:
    """For each family the median latency of a policy, as a part of the baseline's."""
    return {
        family: ratio_of_means([one[policy].p50_s for one in seeds], [one[BASELINE].p50_s for one in seeds])
        for family, seeds in results.items()
    }


def reversals(results: Results, policy: str) -> int:
    """The most turns of one weight within a minute, in any scenario, on any client."""
    return max(one[policy].reversals for seeds in results.values() for one in seeds)


def flapping(results: Results, policy: str) -> int:
    """In how many scenarios some weight on some client turned more often within a minute than it should."""
    return sum(one[policy].reversals > REVERSALS_MAX for seeds in results.values() for one in seeds)


def rows(results: Results) -> list[Row]:
    """Every family and policy with its interval, then what the product has to hold."""
    listed = []
    for family, seeds in results.items():
        base = mean(violations(results, family, BASELINE)).value
        for policy in seeds[0]:
            share = mean(violations(results, family, policy))
            ratio = ratio_of_means(violations(results, family, policy), violations(results, family, BASELINE))
            parts = (("", share.value, ratio.value), (" low", share.low, ratio.low), (" high", share.high, ratio.high))
            listed += [
                Row(f"{family} {policy}{end}", "violations", value, "ratio", BASELINE, base, part)
                for end, value, part in parts
            ]
    return listed + held(results)


def held(results: Results) -> list[Row]:
    """What the product has to hold, with the predictor behind its gate and without one."""
    listed = []
    for policy, suffix in ((PRODUCT, ""), (OURS, ", without predictor")):
        listed += _held(results, policy, suffix)
    listed.append(Row("reversals, ours-weights", "count", reversals(results, OURS_WEIGHTS), "1/min"))
    listed.append(Row("predictor", "squared error", _skill(results), "ratio", "persistence", 1.0))
    return listed


def lines(results: Results, *, summary: bool = True) -> list[str]:
    """The same for people; the summary needs every policy."""
    listed = []
    for family, seeds in results.items():
        listed.append(f"\n{family}: {len(seeds)} scenarios")
        for policy in seeds[0]:
            share = mean(violations(results, family, policy))
            ratio = ratio_of_means(violations(results, family, policy), violations(results, family, BASELINE))
            p50 = p50_ratio({family: seeds}, policy)[family].value
            p99_ms = 1e3 * mean([one[policy].p99_s for one in seeds]).value
            errors = mean([one[policy].errors for one in seeds]).value
            listed.append(
                f"  {policy:15} violations {share.value:7.2%} [{share.low:.2%}, {share.high:.2%}]  "
                f"of {BASELINE} {ratio.value:5.2f} [{ratio.low:.2f}, {ratio.high:.2f}]  "
                f"errors {errors:6.2%}  p50 x{p50:.2f}  p99 {p99_ms:4.0f} ms"
            )
    if summary:
        listed.append("")
        listed += [f"{row.row:38} {row.metric:14} {row.value:8.3f} {row.unit}" for row in held(results)]
    return listed


def _held(results: Results, policy: str, suffix: str) -> list[Row]:
    ratios, p50 = against_baseline(results, policy), p50_ratio(results, policy)
    worst = max(ratios.values(), key=lambda one: one.value)
    families, count = len(ratios), sum(len(seeds) for seeds in results.values())
    halved = sum(one.value <= 0.5 for one in ratios.values())
    surely = sum(one.high <= 0.5 for one in ratios.values())
    slowest = max(p50.values(), key=lambda one: one.value)
    return [
        Row(f"families halved{suffix}", "count", halved, "families", "all", families, halved / families),
        Row(f"families halved surely{suffix}", "count", surely, "families", "all", families, surely / families),
        Row(f"worst family{suffix}", "ratio", worst.value, "ratio", BASELINE, 1.0, worst.value),
        Row(f"worst family high{suffix}", "ratio", max(one.high for one in ratios.values()), "ratio", BASELINE, 1.0),
        Row(f"p50, worst family{suffix}", "ratio", slowest.value, "ratio", BASELINE, 1.0, slowest.value),
        Row(f"reversals{suffix}", "count", reversals(results, policy), "1/min", "hold", REVERSALS_MAX),
        Row(f"reversals, scenarios above{suffix}", "count", flapping(results, policy), "scenarios", "all", count),
    ]


def _skill(results: Results) -> float:
    skills = sorted(one[OURS_PREDICTING].skill for seeds in results.values() for one in seeds)
    return skills[len(skills) // 2]
