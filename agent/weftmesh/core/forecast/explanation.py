"""Why a forecast is what it is: the words of this very text that moved its score most."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import BUCKETS, hashed, terms
from weftmesh.core.forecast.text import SHAPE_NAMES, TaskText

CONTRIBUTIONS: Final = 5


@dataclass(frozen=True, slots=True)
class Contribution:
    """One part of a score.

    Attributes:
        what: words or word pairs of the text, or one of `SHAPE_NAMES`. Several words stand together where they share
            a hash bucket, since the model cannot tell them apart.
        effect: what it adds to the score in log-odds: above 0 it makes the task larger, below 0 smaller.
    """

    what: tuple[str, ...]
    effect: float


def explain_effort(model: EffortModel, text: TaskText, most: int = CONTRIBUTIONS) -> list[Contribution]:
    """The largest contributions to a text's score, the largest first.

    All of them, with `most` large enough, add up to the score.
    """
    terms_of: dict[int, list[str]] = defaultdict(list)
    for term in terms(text):
        terms_of[hashed(term)[0]].append(term)
    row = model.row(text)
    found = [
        Contribution(_name(index, terms_of), effect)
        for index, value in zip(row.indices, row.values, strict=True)
        if (effect := value * model.weights[index])
    ]
    found.sort(key=lambda one: (-abs(one.effect), one.what))
    return found[:most]


def _name(index: int, terms_of: dict[int, list[str]]) -> tuple[str, ...]:
    return (SHAPE_NAMES[index - BUCKETS],) if index >= BUCKETS else tuple(sorted(terms_of[index]))
