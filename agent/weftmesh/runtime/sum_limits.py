"""How much one node may count for in a sum: learners keep to it, and coordinators refuse a sum that shows otherwise.

A sum under masks shows no single weight. What all of them together may come to is all that can be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weftmesh.core.learning.model import RoundKind

WEIGHT_MAX: Final[Mapping[RoundKind, float]] = {
    RoundKind.STATISTICS: 1.0,
    RoundKind.TRAINING: 1024.0,
    RoundKind.EVALUATION: 100_000.0,
}
"""Of one node, by kind of round. Where tasks are counted, every node's weight is 1. In training it is the sum, over the
node's teams, of the square roots of their labels: this is a hundred teams of a hundred labels. In an evaluation it is
how many forecasts were judged. A node with more counts for no more."""
