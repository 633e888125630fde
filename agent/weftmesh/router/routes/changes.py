"""What has to happen to a route's table so that it is as agreements and orders want it."""

from __future__ import annotations

from weftmesh.core.routing.changing import OfRoute
from weftmesh.core.routing.events import ClearOverride, SetMode, SetOverride, SetRoute
from weftmesh.core.routing.model import Inputs, OverrideKind
from weftmesh.router.following.wanted import WantedRoute


def changes(route: WantedRoute, inputs: Inputs) -> list[OfRoute]:
    """The events, in their order: a freeze comes first and goes last, so that nothing moves between."""
    name, present = route.name, set(inputs.overrides)
    new = [one for one in route.overrides if one not in present]
    keys = {(one.kind, one.endpoint) for one in route.overrides}
    kinds = {one.kind for one in route.overrides}
    gone = [
        one
        for one in inputs.overrides
        if (one.kind, one.endpoint) not in keys and not (one.kind is OverrideKind.PIN and one.kind in kinds)
    ]
    freezes = [SetOverride(name, one) for one in new if one.kind is OverrideKind.FREEZE]
    thaws = [ClearOverride(name, one.kind) for one in gone if one.kind is OverrideKind.FREEZE]
    return [
        *freezes,
        SetRoute(name, route.endpoints, route.settings),
        *(ClearOverride(name, one.kind, one.endpoint) for one in gone if one.kind is not OverrideKind.FREEZE),
        *(SetOverride(name, one) for one in new if one.kind is not OverrideKind.FREEZE),
        SetMode(name, route.mode),
        *thaws,
    ]
