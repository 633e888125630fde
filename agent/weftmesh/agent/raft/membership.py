"""Who votes: the configurations in the log, each in effect from the entry that carries it (Raft thesis, chapter 4)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from weftmesh.agent.raft.codec import membership_voters
from weftmesh.mesh.v1 import raft_pb2

Voters = Mapping[str, str]
"""Name to host:port."""

NO_VOTERS: Voters = MappingProxyType({})


class Configurations:
    """The configuration in effect, and the earlier ones that a truncation may bring back.

    The first one belongs to a snapshot (or founds the mesh); only truncation of uncommitted entries removes later ones.
    """

    def __init__(self, index: int, voters: Voters) -> None:
        self._history: list[tuple[int, Voters]] = [(index, MappingProxyType(dict(voters)))]

    @property
    def current(self) -> Voters:
        """The voters now."""
        return self._history[-1][1]

    @property
    def index(self) -> int:
        """The entry that brought `current` into effect."""
        return self._history[-1][0]

    def at(self, index: int) -> Voters:
        """The voters as of the entry at `index`."""
        return next((voters for start, voters in reversed(self._history) if start <= index), NO_VOTERS)

    def since(self, index: int) -> dict[str, str]:
        """Everybody who votes in the configuration as of `index` or in a later one, at the latest address."""
        known = dict(self.at(index))
        for start, voters in self._history:
            if start > index:
                known.update(voters)
        return known

    def push(self, index: int, voters: Voters) -> None:
        """A configuration was appended at `index`."""
        self._history.append((index, MappingProxyType(dict(voters))))

    def truncate_from(self, index: int) -> bool:
        """Entries from `index` on are gone; returns whether that changed the voters."""
        before = len(self._history)
        self._history[1:] = [item for item in self._history[1:] if item[0] < index]
        return len(self._history) != before

    def forget_before(self, index: int) -> None:
        """Nothing at or below `index` will ever be truncated."""
        newest = max((at for at, item in enumerate(self._history) if item[0] <= index), default=0)
        del self._history[:newest]

    def reset(self, index: int, voters: Voters) -> None:
        """A snapshot replaced the log."""
        self._history[:] = [(index, MappingProxyType(dict(voters)))]


def is_single_change(old: Voters, new: Voters) -> bool:
    """Whether `new` adds, removes or moves exactly one voter, so that any majorities of the two overlap."""
    names = [name for name in {*old, *new} if old.get(name) != new.get(name)]
    return len(names) == 1 and bool(new)


def quorum_size(voters: Voters) -> int:
    """How many voters are a majority."""
    return len(voters) // 2 + 1


def to_membership(voters: Voters) -> raft_pb2.Membership:
    """The message for the log; ordered, so that the same voters are the same bytes."""
    pairs = sorted(voters.items())
    return raft_pb2.Membership(voters=[raft_pb2.Voter(name=name, address=address) for name, address in pairs])


def from_membership(membership: raft_pb2.Membership) -> Voters:
    """The voters of a message."""
    return MappingProxyType(membership_voters(membership))
