"""Where orders want weights: a pin comes first, then drains, then shares, then what endpoints can serve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from weftmesh.core.routing import weights
from weftmesh.core.routing.model import Inputs, OverrideKind, Reason

REACHED: Final = 1e-9
"""A weight that is off its ordered share by less is there."""


def drained(inputs: Inputs) -> set[str]:
    """Endpoints that are ordered to be empty, of this route or not."""
    return {one.endpoint for one in inputs.overrides if one.kind is OverrideKind.DRAIN}


def shares(inputs: Inputs) -> Mapping[str, float] | None:
    """The ordered shares above 0 of endpoints that are there and not drained.

    None where no shares are ordered, all of them are of endpoints that are gone or drained, or a pin comes first.
    """
    order = next((one for one in inputs.overrides if one.kind is OverrideKind.WEIGH), None)
    if order is None:
        return None
    names = {one.name for one in inputs.endpoints}
    if _pinned(inputs) in names:
        return None
    open_names = names - drained(inputs)
    return {one.endpoint: one.share for one in order.shares if one.share > 0.0 and one.endpoint in open_names} or None


def closed(inputs: Inputs) -> set[str]:
    """Endpoints that are to get nothing by an order, whatever becomes of the others."""
    ordered = shares(inputs)
    return drained(inputs) if ordered is None else {one.name for one in inputs.endpoints} - ordered.keys()


def targets(
    inputs: Inputs, ramps: Sequence[float], natural: Sequence[float]
) -> tuple[list[Reason | None], list[float]]:
    """What operators ordered for each endpoint, and the targets that follow.

    Args:
        inputs: what the decision is computed from.
        ramps: what is let in of each endpoint's share, 0 to 1; 0 is ejected.
        natural: where weights would go without orders.
    """
    names = [one.name for one in inputs.endpoints]
    pinned = _pinned(inputs)
    if pinned in names:
        return [Reason.PINNED] * len(names), [1.0 if name == pinned else 0.0 for name in names]
    empty, ordered = drained(inputs) & set(names), shares(inputs)
    if ordered is not None:
        let_in = [ordered.get(name, 0.0) * ramp for name, ramp in zip(names, ramps, strict=True)]
        if math.fsum(let_in) > 0.0:
            return [Reason.DRAINED if name in empty else Reason.WEIGHED for name in names], weights.normalised(let_in)
    if not empty or len(empty) == len(names):
        return [None] * len(names), list(natural)
    drains = [Reason.DRAINED if name in empty else None for name in names]
    kept = [0.0 if one else share for one, share in zip(drains, natural, strict=True)]
    if math.fsum(kept) <= 0.0:
        kept = [0.0 if one else 1.0 for one in drains]
    return drains, weights.normalised(kept)


def settled(inputs: Inputs, now: Sequence[float], aims: Sequence[float]) -> bool:
    """Whether weights may stay: ordered shares are met to the point, all else is within the dead band."""
    if shares(inputs) is None:
        return weights.near(now, aims, inputs.settings)
    return all(abs(aim - one) <= REACHED for one, aim in zip(now, aims, strict=True))


def _pinned(inputs: Inputs) -> str | None:
    return next((one.endpoint for one in inputs.overrides if one.kind is OverrideKind.PIN), None)
