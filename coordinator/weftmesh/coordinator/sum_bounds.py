"""What a sum of honest contributions keeps to. Nobody can look at one of them; a sum beyond this holds a false one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.masking import WeightedMean

ROUNDING: Final = 1e-4
"""What fixed point and single precision may add to a weight or to a length."""


class SumRefusedError(InvalidInputError):
    """A sum that no honest contributors make; its round makes no version."""

    reason = "SUM_REFUSED"


@dataclass(frozen=True, slots=True)
class SumBounds:
    """Bounds of one round's sum.

    Attributes:
        weight_max: of one contributor; see weftmesh.runtime.sum_limits.
        length_max: of one contributor's update, Euclidean. A mean of vectors is no longer than the longest of them.
    """

    weight_max: float = math.inf
    length_max: float = math.inf

    def check(self, mean: WeightedMean, contributors: int) -> None:
        """Return if honest contributors may have made this.

        Args:
            mean: of the sum.
            contributors: how many are in it.

        Raises:
            SumRefusedError: they cannot have.
        """
        weight_max = self.weight_max * contributors
        # What is not finite compares false.
        if not mean.weight <= weight_max + ROUNDING:
            raise _refused(
                f"its weights add up to {mean.weight:g}, and {contributors} nodes have {weight_max:g} at most"
            )
        length = float(np.linalg.norm(mean.update))
        if not length <= self.length_max + ROUNDING:
            raise _refused(f"its mean update is {length:g} long, and each node's is cut to {self.length_max:g}")


def _refused(why: str) -> SumRefusedError:
    # The log keeps the beginning of a long note.
    return SumRefusedError(
        f"the sum is refused: {why}; a node does not keep to the rules, and which one cannot be seen: leave nodes out "
        "in turn until rounds succeed"
    )
