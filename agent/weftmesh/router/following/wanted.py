"""The routes that agreements and orders ask for.

Several agreements may speak of one service. Of those that name endpoints the leading one, which has the best agreed
class and among these the first name, says which endpoints there are, the mode, and how many may be ejected. The
response time is the shortest that any of them promises, the class the best that is in force, and every probe of any of
them is made. A service of which no agreement names endpoints has no route.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import WHOLE_PPB, Agreement, Probe, ProbeKind, ResponseTime, RouteMode, ServiceClass
from weftmesh.core.ola.replicated.rows import OverrideKind as OrderKind
from weftmesh.core.ola.replicated.rows import SlowWeights
from weftmesh.core.records import record
from weftmesh.core.routing.model import Endpoint, Mode, Override, OverrideKind, Settings, Share
from weftmesh.router.following.agreements import Followed, Order

_log = structlog.get_logger("weftmesh.router")
_MODES: Final = {RouteMode.OBSERVE: Mode.OBSERVE, RouteMode.SUGGEST: Mode.SUGGEST, RouteMode.ACT: Mode.ACT}
_KINDS: Final = {
    OrderKind.DRAIN: OverrideKind.DRAIN,
    OrderKind.PIN: OverrideKind.PIN,
    OrderKind.FREEZE: OverrideKind.FREEZE,
}
_DEEPEST_FIRST: Final = (ProbeKind.GRPC, ProbeKind.HTTP, ProbeKind.TCP, ProbeKind.ICMP)
"""What asks the service itself tells more than what asks its machine."""


@record(frozen=True, slots=True)
class WantedRoute:
    """One service as it should be routed.

    Attributes:
        name: of the service.
        agreements: names, the leading one first.
        endpoints: in the order of the leading agreement.
        settings: of the table.
        mode: ordered or agreed.
        overrides: orders for the table, drains last.
        probes: each different one once.
        service_class: the best that is in force.
    """

    name: str
    agreements: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    settings: Settings
    mode: Mode
    overrides: tuple[Override, ...]
    probes: tuple[Probe, ...]
    service_class: ServiceClass

    @property
    def deciding_probe(self) -> ProbeKind | None:
        """The kind whose answers the table goes by: one that pings but refuses requests must not look alive."""
        kinds = {one.kind for one in self.probes}
        return next((kind for kind in _DEEPEST_FIRST if kind in kinds), None)


def wanted_routes(in_force: Iterable[Followed], orders: Iterable[Order]) -> dict[str, WantedRoute]:
    """Every route, by name.

    Args:
        in_force: agreements.
        orders: of operators, the oldest first.
    """
    by_service: defaultdict[str, list[Followed]] = defaultdict(list)
    for one in in_force:
        by_service[one.agreement.service].append(one)
    kept = tuple(orders)
    routes: dict[str, WantedRoute] = {}
    for name, found in sorted(by_service.items()):
        try:
            route = _route(name, found, kept)
        except InvalidInputError as error:
            # A newer node may allow what this router does not: the other routes must not suffer.
            _log.warning("a route cannot be made", route=name, why=str(error))
        else:
            routes |= {name: route} if route is not None else {}
    return routes


def _route(name: str, found: Sequence[Followed], orders: Sequence[Order]) -> WantedRoute | None:
    ranked = sorted(found, key=lambda one: (not one.agreement.endpoints, _rank(one.agreement)))
    leading = ranked[0].agreement
    if not leading.endpoints:
        return None
    of_route = [one for one in orders if one.route in ("", name)]
    return WantedRoute(
        name,
        tuple(one.agreement.name for one in ranked),
        tuple(Endpoint(one.name, one.address, float(one.capacity), one.zone) for one in leading.endpoints),
        _settings(leading, [one.agreement for one in ranked]),
        _mode(leading, of_route),
        _overrides(of_route),
        _probes([one.agreement for one in ranked]),
        min(one.service_class for one in ranked),
    )


def _rank(agreement: Agreement) -> tuple[int, str]:
    return agreement.service_class, agreement.name


def _settings(leading: Agreement, all_of_them: Iterable[Agreement]) -> Settings:
    thresholds_us = [found for one in all_of_them if (found := _threshold_us(one)) is not None]
    percent = float(leading.route.ejected_percent_max)
    if not thresholds_us:
        return Settings(max_ejection_percent=percent)
    return Settings(threshold_s=min(thresholds_us) / 1e6, max_ejection_percent=percent)


def _threshold_us(agreement: Agreement) -> int | None:
    """That of the highest percentile: what is slower breaks the agreement for nearly every request."""
    times = [one for one in agreement.objectives if isinstance(one, ResponseTime)]
    return max(times, key=lambda one: one.target_ppb).threshold_us if times else None


def _mode(leading: Agreement, orders: Iterable[Order]) -> Mode:
    """An order for the route comes before one for all routes, and that before what was agreed."""
    modes = [one for one in orders if not isinstance(one, SlowWeights) and one.kind is OrderKind.MODE]
    ordered = next((one for one in modes if one.route), None) or next(iter(modes), None)
    return _MODES[ordered.mode if ordered is not None else leading.route.mode]


def _overrides(orders: Iterable[Order]) -> tuple[Override, ...]:
    """Orders for a table; of several pins and freezes the newest."""
    single: dict[OverrideKind, Override] = {}
    drains = []
    for order in orders:
        if isinstance(order, SlowWeights):
            if order.weights:
                single[OverrideKind.WEIGH] = _weighing(order)
        elif (kind := _KINDS.get(order.kind)) is not None:
            one = Override(kind, order.endpoint, order.actor, order.why)
            if kind is OverrideKind.DRAIN:
                drains.append(one)
            else:
                single[kind] = one
    return (*single.values(), *drains)


def _weighing(order: SlowWeights) -> Override:
    shares = tuple(Share(one.endpoint, one.share_ppb / WHOLE_PPB) for one in order.weights)
    return Override(OverrideKind.WEIGH, "", order.actor, order.why, shares)


def _probes(agreements: Iterable[Agreement]) -> tuple[Probe, ...]:
    """Of those that differ only in how often they are made, the most frequent."""
    found: dict[tuple[ProbeKind, str, bool], Probe] = {}
    for probe in (probe for one in agreements for probe in one.probes):
        key = (probe.kind, probe.path, probe.tls)
        if key not in found or probe.every_ms < found[key].every_ms:
            found[key] = probe
    return tuple(found.values())
