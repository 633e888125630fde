"""What the machine of agreements knows, for its readers."""

from __future__ import annotations

from weftmesh.core.ola.model import Exclusion, ServiceClass
from weftmesh.core.ola.replicated.history import Part
from weftmesh.core.ola.replicated.outcomes import OlaEvent
from weftmesh.core.ola.replicated.rows import (
    AddedExclusion,
    Attendance,
    Breach,
    Confirmation,
    Generation,
    NodeWindow,
    Override,
    SlowWeights,
    Standing,
    class_in_force,
)
from weftmesh.core.ola.replicated.store import Store


class Reading:
    """Looks at the store and changes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def newest_s(self) -> int:
        """Where the newest window starts, Unix seconds; 0 before the first."""
        return self._store.newest_s

    @property
    def event_floor(self) -> int:
        """`events_since` answers from this revision on."""
        return self._store.event_floor

    def standings(self) -> tuple[Standing, ...]:
        """How it stands with all agreements, retired ones too."""
        return tuple(self._store.standings)

    def standing(self, name: str) -> Standing | None:
        """How it stands with an agreement."""
        return self._store.standings.get(name)

    def in_force(self) -> tuple[Generation, ...]:
        """The agreements that are not retired."""
        return tuple(self._store.all_in_force())

    def generation(self, name: str, number: int = 0) -> Generation | None:
        """An agreement as it was applied, if that is still kept; 0 for the newest, retired or not."""
        standing = self._store.standings.get(name)
        return None if standing is None else self._store.generations.get((name, number or standing.generation))

    def generations(self, name: str) -> tuple[Generation, ...]:
        """The generations of an agreement that are kept, the oldest first."""
        return tuple(one for one in self._store.generations if one.name == name)

    def class_of(self, name: str) -> ServiceClass | None:
        """The service class in force; None when the agreement is not."""
        found = self._store.in_force(name)
        return None if found is None else class_in_force(found.agreement, self._store.standings[name])

    def added_exclusions(self, name: str) -> tuple[AddedExclusion, ...]:
        """What was added to an agreement, the oldest first."""
        return tuple(self._store.exclusions_of(name))

    def exclusions(self, name: str) -> tuple[Exclusion, ...]:
        """All that does not count: of the agreement in force, and added."""
        found = self._store.in_force(name)
        own = () if found is None else found.agreement.exclusions
        return (*own, *(one.exclusion for one in self._store.exclusions_of(name)))

    def parts(self, name: str, objective: str, from_s: int, until_s: int) -> tuple[Part, ...]:
        """What all nodes counted in a span of Unix seconds, the oldest first; see `History.parts`."""
        return tuple(self._store.history.parts(name, objective, from_s, until_s))

    def windows(self) -> tuple[NodeWindow, ...]:
        """What each node counted of late."""
        return tuple(self._store.windows)

    def confirmations(self) -> tuple[Confirmation, ...]:
        """What each node confirmed of late."""
        return tuple(self._store.confirmations)

    def attendances(self) -> tuple[Attendance, ...]:
        """Which windows each node recorded and confirmed."""
        return tuple(self._store.attendances)

    def overrides(self) -> tuple[Override, ...]:
        """All overrides, as they came."""
        return tuple(self._store.overrides)

    def weights(self, route: str) -> SlowWeights | None:
        """A route's slow weights."""
        return self._store.weights.get(route)

    def all_weights(self) -> tuple[SlowWeights, ...]:
        """Of every route that has some."""
        return tuple(self._store.weights)

    def breaches(self, name: str = "") -> tuple[Breach, ...]:
        """The breaches of an agreement, or all of them, that are kept."""
        return tuple(one for one in self._store.breaches if name in ("", one.name))

    def open_breach(self, name: str, objective: str) -> Breach | None:
        """The breach of an objective that goes on."""
        return next((one for one in self._store.breaches_of(name, objective) if not one.ended_s), None)

    def events_since(self, revision: int) -> tuple[OlaEvent, ...] | None:
        """The events after `revision`; None when some of them are no longer kept."""
        if revision < self._store.event_floor:
            return None
        return tuple(event for event in self._store.events if event.revision > revision)
