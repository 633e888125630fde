"""Paired comparisons over projects: wins, and the exact one-sided Wilcoxon signed-rank test."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

_TIE: Final = 1e-9


def wins(ours: Sequence[float], theirs: Sequence[float]) -> int:
    """On how many our error is smaller; a tie is no win."""
    return sum(our < their - _TIE for our, their in zip(ours, theirs, strict=True))


def signed_rank_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The chance of errors this much smaller than theirs if both were alike (Wilcoxon, Biometrics 1945).

    Exact over all signs; pairs without a difference are left out, equal differences share their mean rank.
    """
    differences = [our - their for our, their in zip(ours, theirs, strict=True) if abs(our - their) > _TIE]
    ranks = _doubled_ranks([abs(one) for one in differences])
    observed = sum(rank for rank, one in zip(ranks, differences, strict=True) if one > 0)
    ways = {0: 1}
    for rank in ranks:
        with_it: dict[int, int] = dict(ways)
        for total, count in ways.items():
            with_it[total + rank] = with_it.get(total + rank, 0) + count
        ways = with_it
    return sum(count for total, count in ways.items() if total <= observed) / sum(ways.values())


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Ranks times two, so that a mean of ranks is whole."""
    order = sorted(range(len(sizes)), key=lambda place: sizes[place])
    ranks = [0] * len(sizes)
    before = 0
    for _, group in groupby(order, key=lambda place: round(sizes[place], 9)):
        places = list(group)
        for place in places:
            ranks[place] = 2 * before + len(places) + 1
        before += len(places)
    return ranks
