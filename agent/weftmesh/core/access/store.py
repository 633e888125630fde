"""Bindings by place and subject, the events of late, and the sum of their hashes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from weftmesh.core.access.model import MESH, Binding, Limits
from weftmesh.core.access.outcomes import AccessEvent
from weftmesh.core.access.roles import Role
from weftmesh.core.access.subjects import SubjectKind, parse_subject
from weftmesh.core.board.hashing import HASH_MASK
from weftmesh.core.row_hashes import row_hash_of
from weftmesh.core.tables import Table

_DOMAIN: Final = b"access"


def row_hash(row: Binding | AccessEvent) -> int:
    """The hash of one row, 0 to 2^128 - 1."""
    return row_hash_of(row, _DOMAIN)


class Store:
    """Everything that the machine keeps, but for remembered requests."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.bindings: Final = Table[tuple[str, str], Binding](row_hash)
        """By project and subject."""
        self.events: Final[deque[AccessEvent]] = deque()
        self.event_floor = revision
        self.hash_sum = 0
        self._by_project: dict[str, dict[str, Role]] = {}

    def put(self, binding: Binding) -> None:
        """Adds or replaces a binding."""
        self._add(self.bindings.put((binding.project, binding.subject), binding))
        self._by_project.setdefault(binding.project, {})[binding.subject] = binding.role

    def drop(self, binding: Binding) -> None:
        """Removes a binding that is here."""
        self._add(self.bindings.drop((binding.project, binding.subject)))
        roles = self._by_project[binding.project]
        del roles[binding.subject]
        if not roles:
            del self._by_project[binding.project]

    def append(self, event: AccessEvent) -> None:
        """Adds the event of the next revision; the oldest makes room."""
        self.revision = event.revision
        self.events.append(event)
        self._add(row_hash(event))
        if len(self.events) > Limits.EVENTS_KEPT:
            self.event_floor += 1
            self._add(-row_hash(self.events.popleft()))

    def load(self, bindings: Iterable[Binding], events: Iterable[AccessEvent], event_floor: int) -> None:
        """Fills an empty store with what another one held."""
        for binding in bindings:
            self.put(binding)
        for event in events:
            self.events.append(event)
            self._add(row_hash(event))
        self.event_floor = event_floor

    def roles_on(self, project: str) -> dict[str, Role]:
        """The roles on one place, by subject; none for a place without bindings. Not to be changed."""
        return self._by_project.get(project, {})

    def mesh_admins(self) -> Iterator[str]:
        """Who administers the mesh."""
        return (subject for subject, role in self.roles_on(MESH).items() if role is Role.ADMIN)

    def _add(self, change: int) -> None:
        self.hash_sum = (self.hash_sum + change) & HASH_MASK


def is_person(subject: str) -> bool:
    """Whether a subject is a user or a group, not a node."""
    return parse_subject(subject).kind is not SubjectKind.NODE
