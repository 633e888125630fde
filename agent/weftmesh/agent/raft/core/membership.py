"""Who belongs to the mesh: the configurations in the log, each in effect from the entry that carries it.

Raft thesis, chapter 4: one member changes at a time, so that any majorities of two configurations in a row overlap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from weftmesh.mesh.v1 import raft_pb2

Voters = Mapping[str, str]
"""Name to host:port."""

NO_VOTERS: Voters = MappingProxyType({})


class Configuration(NamedTuple):
    """All members from one entry of the log on; `to_membership(*configuration)` is its message."""

    voters: Voters
    observers: Voters = NO_VOTERS
    """They get the log, and neither vote nor count."""
    joining: frozenset[str] = frozenset()
    """Those of the observers that become voters when they have caught up."""

    @property
    def members(self) -> dict[str, str]:
        """Voters and observers."""
        return {**self.observers, **self.voters}

    def facts(self, name: str) -> tuple[str | None, ...]:
        """All that is said of one member, to compare."""
        return self.voters.get(name), self.observers.get(name), "joining" if name in self.joining else None


NO_MEMBERS = Configuration(NO_VOTERS)


class Configurations:
    """The configuration in effect, and the earlier ones that a truncation may bring back.

    The first one belongs to a snapshot (or founds the mesh); only truncation of uncommitted entries removes later ones.
    """

    def __init__(self, index: int, first: Configuration) -> None:
        self._history: list[tuple[int, Configuration]] = []
        self.voters: Voters
        """Those of `current`; an attribute, because every tick counts them."""
        self.reset(index, first)

    @property
    def current(self) -> Configuration:
        """The members now."""
        return self._history[-1][1]

    @property
    def index(self) -> int:
        """The entry that brought `current` into effect."""
        return self._history[-1][0]

    def at(self, index: int) -> Configuration:
        """The members as of the entry at `index`."""
        return next((members for start, members in reversed(self._history) if start <= index), NO_MEMBERS)

    def since(self, index: int) -> dict[str, str]:
        """Every member of the configuration as of `index` or of a later one, at the latest address."""
        known = self.at(index).members
        for start, configuration in self._history:
            if start > index:
                known.update(configuration.members)
        return known

    def push(self, index: int, configuration: Configuration) -> None:
        """A configuration was appended at `index`."""
        self._history.append((index, configuration))
        self.voters = configuration.voters

    def truncate_from(self, index: int) -> bool:
        """Entries from `index` on are gone; returns whether that changed the members."""
        before = len(self._history)
        self._history[1:] = [item for item in self._history[1:] if item[0] < index]
        self.voters = self.current.voters
        return len(self._history) != before

    def forget_before(self, index: int) -> None:
        """Nothing at or below `index` will ever be truncated."""
        newest = max((at for at, item in enumerate(self._history) if item[0] <= index), default=0)
        del self._history[:newest]

    def reset(self, index: int, configuration: Configuration) -> None:
        """A snapshot replaced the log."""
        self._history[:] = [(index, configuration)]
        self.voters = configuration.voters


def is_single_change(old: Configuration, new: Configuration) -> bool:
    """Whether `new` adds, removes, moves, promotes or demotes exactly one member, and somebody still votes."""
    names = [name for name in {*old.members, *new.members} if old.facts(name) != new.facts(name)]
    return len(names) == 1 and bool(new.voters)


def quorum_size(voters: Voters) -> int:
    """How many voters are a majority."""
    return len(voters) // 2 + 1


def to_membership(
    voters: Voters, observers: Voters = NO_VOTERS, joining: Collection[str] = frozenset()
) -> raft_pb2.Membership:
    """The message for the log; ordered, so that the same members are the same bytes."""
    return raft_pb2.Membership(
        voters=[raft_pb2.Voter(name=name, address=address) for name, address in sorted(voters.items())],
        observers=[
            raft_pb2.Voter(name=name, address=address, joining=name in joining)
            for name, address in sorted(observers.items())
        ],
    )


def from_membership(membership: raft_pb2.Membership) -> Configuration:
    """The members of a message."""
    return Configuration(
        MappingProxyType({voter.name: voter.address for voter in membership.voters}),
        MappingProxyType({observer.name: observer.address for observer in membership.observers}),
        frozenset(observer.name for observer in membership.observers if observer.joining),
    )
