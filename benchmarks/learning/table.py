"""The results for people, and as rows for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from benchmarks.learning.cold_start import LABELS, ColdStart
from benchmarks.learning.comparison import METHODS, TITLES, Comparison
from benchmarks.learning.significance import signed_rank_p, wins
from benchmarks.report import Row

_UNIT = "story points"


def comparison_lines(found: Comparison) -> Iterator[str]:
    """A line a project, then the means, wins and coverage."""
    yield "| project | test rows | " + " | ".join(TITLES[method] for method in METHODS) + " |"
    yield "|---" * (2 + len(METHODS)) + "|"
    for one in found.projects:
        cells = " | ".join(f"{one.errors[method]:.3f}" for method in METHODS)
        yield f"| {one.project} | {one.test_rows} | {cells} |"
    rows = sum(one.test_rows for one in found.projects)
    yield "| mean | | " + " | ".join(f"{fmean(found.errors(method)):.3f}" for method in METHODS) + " |"
    weighted = [sum(one.errors[method] * one.test_rows for one in found.projects) / rows for method in METHODS]
    yield f"| by rows | {rows} | " + " | ".join(f"{value:.3f}" for value in weighted) + " |"
    yield ""
    ours = found.errors("federated")
    for method in METHODS:
        if method != "federated":
            theirs = found.errors(method)
            ratio = fmean(our / their for our, their in zip(ours, theirs, strict=True))
            yield (
                f"federated against {TITLES[method]}: better on {wins(ours, theirs)}, worse on {wins(theirs, ours)} of "
                f"{len(ours)}, mean ratio {ratio:.3f}, p {signed_rank_p(ours, theirs):.4f}"
            )
    covered = [fmean(one.covered[place] for one in found.projects) for place in (0, 1)]
    yield f"no larger than P85: {covered[0]:.1%}; than P95: {covered[1]:.1%} of test rows (mean over projects)"
    following, rolling = _following(found)
    yield (
        f"as served, thresholds following: {fmean(following):.3f}, median of the same labels {fmean(rolling):.3f}, "
        f"better on {wins(following, rolling)} of {len(following)}, p {signed_rank_p(following, rolling):.4f}"
    )
    yield f"federated and centralised weights: cosine {found.cosine:.4f}; last centralised step {found.last_step:.1e}"
    yield f"60 rounds of {len(found.projects)} nodes in one process: {found.training_s:.1f} s of processor time"


def cold_start_lines(found: Sequence[ColdStart]) -> Iterator[str]:
    """A line for each number of labels."""
    head = ("labels", "median of them", "local ordinal", "local with precedents", "federated")
    tail = ("ratio to full-history median", "better than local", "better than local with precedents")
    yield f"| {' | '.join(head + tail)} |"
    yield "|---" * len(head + tail) + "|"
    for count in LABELS:
        some = [one for one in found if one.labels == count]
        ours = [one.federated for one in some]
        peers = [one.median for one in some], [one.local for one in some], [one.local_precedents for one in some]
        means = [f"{fmean(errors):.3f}" for errors in (*peers, ours)]
        ratio = fmean(one.federated / one.full_median for one in some)
        better = [f"{wins(ours, them)} of {len(some)}, p {signed_rank_p(ours, them):.4f}" for them in peers[1:]]
        yield f"| {count} | {' | '.join(means)} | {ratio:.3f} | {' | '.join(better)} |"


def comparison_rows(found: Comparison) -> list[Row]:
    """Federated beside each peer: the means over the projects, how often it is better, and project by project."""
    ours = found.errors("federated")
    rows = [Row(f"macro {TITLES['federated']}", "mae", fmean(ours), _UNIT)]
    for method in METHODS:
        if method == "federated":
            continue
        peer, theirs = TITLES[method], found.errors(method)
        rows.append(_row(f"macro {peer}", "mae", fmean(theirs), TITLES["federated"], fmean(ours)))
        rows.append(Row(f"wins against {peer}", "wins", wins(ours, theirs), "projects"))
        rows += [_row(one.project, "mae", one.errors["federated"], peer, one.errors[method]) for one in found.projects]
    following, rolling = _following(found)
    rows.append(_row("as served, thresholds following", "mae", fmean(following), "rolling median", fmean(rolling)))
    for place, name in enumerate(("P85", "P95")):
        rows.append(Row(name, "coverage", fmean(one.covered[place] for one in found.projects), "1"))
    rows.append(_row("macro federated in one process", "mae", found.in_process, TITLES["federated"], fmean(ours)))
    rows.append(Row("60 rounds, 16 nodes, one process", "cpu", found.training_s, "s"))
    return rows


def cold_start_rows(found: Sequence[ColdStart]) -> list[Row]:
    """Federated beside local-only and beside the median of the full history, for each number of labels."""
    rows = []
    for count in LABELS:
        some = [one for one in found if one.labels == count]
        ours, name = [one.federated for one in some], f"cold start, {count} labels"
        rows.append(_row(name, "mae", fmean(ours), TITLES["local"], fmean(one.local for one in some)))
        rows.append(_row(name, "mae", fmean(ours), "median of them", fmean(one.median for one in some)))
        ratio = fmean(one.federated / one.full_median for one in some)
        rows.append(Row(name, "ratio to the full-history median", ratio, "1"))
    return rows


def _following(found: Comparison) -> tuple[list[float], list[float]]:
    """Mean errors of the model and of the median when both follow new labels."""
    each = [one.following for one in found.projects]
    return [one.model_error / one.forecasts for one in each], [one.median_error / one.forecasts for one in each]


def _row(name: str, metric: str, value: float, peer: str, peer_value: float) -> Row:
    return Row(name, metric, value, _UNIT, peer, peer_value, value / peer_value)
