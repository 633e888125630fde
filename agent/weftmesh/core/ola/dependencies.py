"""Which agreement needs which: the graph of hard dependencies, its order, its circles and the names nobody has."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from weftmesh.core.ola.model import Agreement
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class UnknownName:
    """A dependency on an agreement that is not there."""

    agreement: str
    index: int
    """Of the dependency, from 0."""
    name: str


@dataclass(frozen=True, slots=True)
class DependencyGraph:
    """Agreements and what they cannot do without.

    Attributes:
        needs: of each agreement, the agreements that its hard dependencies name; those that are not there are left out.
        needed_by: the same the other way round; both sorted.
        certain: of each agreement, those among `needs` without which it fails always: no cache and no alternative.
        order: every agreement after all that it needs, as far as there is no circle.
        circular: those that need themselves, directly or not.
        cycles: of each group of agreements that all need each other, a shortest circle through its least name: from
            there, and it ends before it would come back. All circles of a group can be more than memory holds.
        unknown: also those of soft dependencies.
    """

    needs: Mapping[str, tuple[str, ...]]
    needed_by: Mapping[str, tuple[str, ...]]
    certain: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]
    circular: frozenset[str]
    cycles: tuple[tuple[str, ...], ...]
    unknown: tuple[UnknownName, ...]

    def paths_to(self, changed: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The shortest way to a changed agreement, itself first, from each one that needs it, directly or not.

        Args:
            changed: names; those that the graph does not know are ignored, and none of them is among the answers.
        """
        paths: dict[str, tuple[str, ...]] = {name: (name,) for name in sorted(set(changed)) if name in self.needs}
        known = set(paths)
        front = list(paths)
        while front:
            nearer: list[str] = []
            for name in front:
                for dependent in self.needed_by[name]:
                    if dependent not in paths:
                        paths[dependent] = (dependent, *paths[name])
                        nearer.append(dependent)
            front = nearer
        return {name: path for name, path in sorted(paths.items()) if name not in known}


def dependency_graph(agreements: Mapping[str, Agreement]) -> DependencyGraph:
    """The graph of agreements by name. The same agreements make the same graph, in whatever order they come."""
    needs: dict[str, tuple[str, ...]] = {}
    needed_by: dict[str, list[str]] = {name: [] for name in sorted(agreements)}
    certain: dict[str, tuple[str, ...]] = {}
    unknown: list[UnknownName] = []
    for name in sorted(agreements):
        hard: set[str] = set()
        single: set[str] = set()
        for index, dependency in enumerate(agreements[name].depends_on):
            known = [one for one in dependency.any_of if one in agreements]
            unknown += [UnknownName(name, index, one) for one in dependency.any_of if one not in agreements]
            if dependency.hard:
                hard.update(known)
            if dependency.hard and len(dependency.any_of) == 1 and not dependency.cached_ppb:
                single.update(known)
        needs[name] = tuple(sorted(hard))
        certain[name] = tuple(sorted(single))
        for one in needs[name]:
            needed_by[one].append(name)
    order, groups = _walk(needs)
    circular = frozenset(name for group in groups for name in group)
    cycles = tuple(sorted(_circle(needs, group) for group in groups))
    dependents = {name: tuple(found) for name, found in needed_by.items()}
    return DependencyGraph(needs, dependents, certain, tuple(order), circular, cycles, tuple(unknown))


def _walk(needs: Mapping[str, tuple[str, ...]]) -> tuple[list[str], list[frozenset[str]]]:
    """An order, and the groups that need each other (Tarjan, 1972); without recursion: a chain may be longer than
    Python's stack.
    """
    walk = _Walk(needs)
    for root in needs:
        walk.from_root(root)
    return walk.order, walk.groups


class _Walk:
    """Depth first through all agreements."""

    def __init__(self, needs: Mapping[str, tuple[str, ...]]) -> None:
        self._needs = needs
        self._number: dict[str, int] = {}
        """In the order in which they are met."""
        self._lowest: dict[str, int] = {}
        """The least number in the same group that is known to be reached."""
        self._open: dict[str, None] = {}
        """Met, and their group is not complete yet."""
        self.order: list[str] = []
        self.groups: list[frozenset[str]] = []

    def from_root(self, root: str) -> None:
        """Visit what was not visited yet."""
        if root in self._number:
            return
        path = [(root, self._enter(root))]
        while path:
            name, left = path[-1]
            child = next(left, None)
            if child is None:
                path.pop()
                self._leave(name)
                if path:
                    self._reaches(path[-1][0], self._lowest[name])
            elif child not in self._number:
                path.append((child, self._enter(child)))
            elif child in self._open:
                self._reaches(name, self._number[child])

    def _enter(self, name: str) -> Iterator[str]:
        self._number[name] = self._lowest[name] = len(self._number)
        self._open[name] = None
        return iter(self._needs[name])

    def _reaches(self, name: str, number: int) -> None:
        self._lowest[name] = min(self._lowest[name], number)

    def _leave(self, name: str) -> None:
        self.order.append(name)
        if self._lowest[name] < self._number[name]:
            return
        group = set()
        while name not in group:
            group.add(self._open.popitem()[0])
        if len(group) > 1 or name in self._needs[name]:
            self.groups.append(frozenset(group))


def _circle(needs: Mapping[str, tuple[str, ...]], group: frozenset[str]) -> tuple[str, ...]:
    """The shortest way from the least name of a group back to it."""
    least = min(group)
    before = {least: ""}
    """Each name that was reached, and from where."""
    front = deque([least])
    while front:
        name = front.popleft()
        if least in needs[name]:
            way = [name]
            while way[-1] != least:
                way.append(before[way[-1]])
            return tuple(reversed(way))
        for child in needs[name]:
            if child in group and child not in before:
                before[child] = name
                front.append(child)
    raise AssertionError(f"{least} is in no circle")
