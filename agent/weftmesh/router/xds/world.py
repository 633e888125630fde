"""The state-of-the-world form of xDS, for one client: requests and catalogs in, responses out. No I/O.

The rules are those of Envoy's "xDS REST and gRPC protocol", v3, for aggregated streams: a nonce ties a request to a
response; a request with the nonce of an older response changes no subscription, since another one follows it; no names
in the first request mean everything for clusters and listeners, and later nothing; a refused response is not repeated.
"""

from __future__ import annotations

from weftmesh.core.records import record
from weftmesh.router.xds.catalog import Catalog
from weftmesh.router.xds.checking import check_subscriptions
from weftmesh.router.xds.kinds import Entry, Kind
from weftmesh.router.xds.receipts import Receipts, Verdict
from weftmesh.router.xds.subscription import WILDCARD, Subscription, warm


@record(frozen=True, slots=True)
class WorldRequest:
    """A DiscoveryRequest: the whole subscription, and what became of the response of this nonce."""

    kind: Kind
    names: tuple[str, ...] = ()
    nonce: str = ""
    error: str | None = None


@record(frozen=True, slots=True)
class WorldResponse:
    """A DiscoveryResponse; of clusters and listeners, what it does not name is gone."""

    kind: Kind
    version: str
    entries: tuple[Entry, ...]
    nonce: str


class WorldStream:
    """One client's stream."""

    def __init__(self) -> None:
        self.receipts = Receipts()
        self._subscriptions: dict[Kind, Subscription] = {}
        self._nonces: dict[Kind, str] = {}
        self._unnamed: set[Kind] = set()
        """Subscribed to as a whole by naming nothing, which goes on meaning that until something is named."""

    def take(self, request: WorldRequest, now_s: float) -> Verdict:
        """Take a request in; `due` says what to answer.

        Raises:
            OverloadedError: it asks for too much; the stream is to be ended.
        """
        kind = request.kind
        verdict = self.receipts.answered(kind, request.nonce, request.error, now_s)
        known = self._subscriptions.get(kind)
        if known is None:
            # A nonce in a stream's first request is left from the stream before.
            self._begin(kind, request.names)
        elif request.nonce in ("", self._nonces.get(kind, "")):
            self._change(kind, known, request.names)
        return verdict

    def due(self, catalog: Catalog, now_s: float) -> list[WorldResponse]:
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
            gone = [name for name in subscription.told if name not in wanted]
            whole = kind.is_whole
            if news or (whole and (gone or subscription.owed)):
                entries = tuple(wanted.values()) if whole else tuple(news)
                nonce = self._nonces[kind] = self.receipts.telling(now_s)
                responses.append(WorldResponse(kind, nonce, entries, nonce))
            subscription.told = {name: one.version for name, one in wanted.items()}
            subscription.again.clear()
            subscription.owed = False
        return responses

    def check(self) -> None:
        """Asserts every invariant."""
        check_subscriptions(self._subscriptions)

    def _begin(self, kind: Kind, names: tuple[str, ...]) -> None:
        if kind.is_whole and not names:
            self._unnamed.add(kind)
        named = frozenset(names)
        wildcard = kind.is_whole and (WILDCARD in named or not named)
        started = Subscription(wildcard=wildcard, owed=kind.is_whole)
        started.name(named - {WILDCARD})
        self._subscriptions[kind] = started

    def _change(self, kind: Kind, known: Subscription, names: tuple[str, ...]) -> None:
        if not names and kind in self._unnamed:
            return
        self._unnamed.discard(kind)
        named = frozenset(names) - {WILDCARD}
        wildcard = kind.is_whole and WILDCARD in names
        # Whoever asks for something that does not exist has to learn that, where a response can say it.
        known.owed = known.owed or (kind.is_whole and bool(named - known.names or (wildcard and not known.wildcard)))
        known.name(named)
        known.wildcard = wildcard
        known.forget_uncovered()
