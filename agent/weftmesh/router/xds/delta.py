"""The incremental form of xDS, for one client: requests and catalogs in, responses out. No I/O.

The rules are those of Envoy's "xDS REST and gRPC protocol", v3: requests change the subscription; whatever is asked for
is answered, with its absence if need be; what a client brings along from an earlier stream in the same version is not
told again; whoever asks once more for what it has is told once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from weftmesh.core.records import record
from weftmesh.router.xds.catalog import Catalog
from weftmesh.router.xds.checking import check_subscriptions
from weftmesh.router.xds.kinds import Entry, Kind
from weftmesh.router.xds.receipts import Receipts, Verdict
from weftmesh.router.xds.subscription import WILDCARD, Subscription, warm


@record(frozen=True, slots=True)
class DeltaRequest:
    """A DeltaDiscoveryRequest; `known` are the versions that the client has from an earlier stream."""

    kind: Kind
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@record(frozen=True, slots=True)
class DeltaResponse:
    """A DeltaDiscoveryResponse: what is new or changed, and what is gone."""

    kind: Kind
    entries: tuple[Entry, ...]
    removed: tuple[str, ...]
    nonce: str


class DeltaStream:
    """One client's stream."""

    def __init__(self) -> None:
        self.receipts = Receipts()
        self._subscriptions: dict[Kind, Subscription] = {}

    def take(self, request: DeltaRequest, now_s: float) -> Verdict:
        """Take a request in; `due` says what to answer.

        Raises:
            OverloadedError: it asks for too much; the stream is to be ended.
        """
        verdict = self.receipts.answered(request.kind, request.nonce, request.error, now_s)
        known = self._subscriptions.get(request.kind)
        if known is None:
            self._begin(request)
        else:
            _change(known, request)
        return verdict

    def due(self, catalog: Catalog, now_s: float) -> list[DeltaResponse]:
        """What to tell the client now, in this order; it counts as told."""
        responses = []
        for kind in Kind:
            subscription = self._subscriptions.get(kind)
            if subscription is None:
                continue
            wanted = subscription.wanted(catalog.of(kind))
            news = subscription.news(wanted)
            if kind is Kind.CLUSTER:
                warm(subscription, news, self._subscriptions.get(Kind.ASSIGNMENT))
            removed = _removed(subscription, wanted)
            if news or removed or subscription.owed:
                responses.append(DeltaResponse(kind, tuple(news), removed, self.receipts.telling(now_s)))
            absent: dict[str, str | None] = dict.fromkeys(subscription.names - wanted.keys())
            subscription.told = absent | {name: one.version for name, one in wanted.items()}
            subscription.again.clear()
            subscription.owed = False
        return responses

    def check(self) -> None:
        """Asserts every invariant."""
        check_subscriptions(self._subscriptions)

    def _begin(self, request: DeltaRequest) -> None:
        kind = request.kind
        names = frozenset(request.subscribe)
        wildcard = kind.is_whole and (WILDCARD in names or not names)
        started = Subscription(wildcard=wildcard, told=dict(request.known), owed=kind.is_whole and wildcard)
        started.name(names - {WILDCARD})
        started.forget_uncovered()
        self._subscriptions[kind] = started


def _change(known: Subscription, request: DeltaRequest) -> None:
    added, dropped = frozenset(request.subscribe), frozenset(request.unsubscribe)
    if WILDCARD in added and request.kind.is_whole:
        known.owed = known.owed or not known.wildcard
        known.wildcard = True
    elif WILDCARD in dropped:
        known.wildcard = False
    known.name((known.names | added) - dropped - {WILDCARD})
    # What is dropped by name and still covered by the wildcard is told again: the client has thrown it away.
    known.repeat(name for name in added | dropped if name != WILDCARD)
    known.forget_uncovered()


def _removed(subscription: Subscription, wanted: Mapping[str, Entry]) -> tuple[str, ...]:
    """What the client has to learn does not exist, or no longer."""
    had = {name for name, version in subscription.told.items() if version is not None}
    never_told = subscription.names - subscription.told.keys()
    asked_again = {name for name in subscription.again if name in subscription.names}
    return tuple(sorted((had | never_told | asked_again) - wanted.keys()))
