"""What is let go. It follows from the rows and the newest window alone, so that replicas forget alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weftmesh.core.ola.replicated.rows import DAY_S, LATE_S, Breach, Limits, Row, Standing
from weftmesh.core.ola.replicated.store import Store
from weftmesh.core.ola.replicated.window_plans import is_shown


def outlived_windows(store: Store) -> list[Row]:
    """What nodes said too long ago."""
    newest_s = store.newest_s
    gone: list[Row] = [one for one in store.windows if not is_shown(one.starts_s, newest_s)]
    gone += [one for one in store.confirmations if not is_shown(one.starts_s, newest_s)]
    gone += [one for one in store.attendances if one.day_s + DAY_S + LATE_S <= newest_s]
    return gone


def outlived_of(store: Store, name: str) -> list[Row]:
    """Generations and breaches of an agreement beyond the limits."""
    generations = [one for one in store.generations if one.name == name]
    return [*generations[: -Limits.GENERATIONS_KEPT], *_old_breaches(store, name)]


def outlived_agreements(store: Store) -> list[Standing]:
    """Agreements that were retired longer ago than others, beyond the limit.

    One with a breach that goes on is kept until that is closed, as its task is still open; as many as may be in force.
    """
    retired = sorted((one for one in store.standings if one.retired), key=_revision)
    breached = {one.name for one in store.breaches if not one.ended_s}
    beyond = len(retired) - Limits.RETIRED_KEPT - Limits.AGREEMENTS
    older = enumerate(retired[: -Limits.RETIRED_KEPT])
    return [one for place, one in older if place < beyond or one.name not in breached]


def outlived_weights(store: Store) -> list[Row]:
    """Weights of routes that no agreement in force is about."""
    routes = {one.agreement.service for one in store.all_in_force()}
    return [one for one in store.weights if one.route not in routes]


def rows_of(store: Store, name: str) -> list[Row]:
    """All rows of one agreement but for what nodes said, which goes with time."""
    tables = (store.standings, store.generations, store.exclusions, store.breaches)
    return [row for table in tables for row in table if row.name == name]


def _old_breaches(store: Store, name: str) -> Iterator[Breach]:
    over: dict[str, list[Breach]] = defaultdict(list)
    for one in store.breaches:
        if one.name == name and one.ended_s:
            over[one.objective].append(one)
    for breaches in over.values():
        yield from breaches[: -Limits.BREACHES_KEPT]


def _revision(standing: Standing) -> int:
    return standing.revision
