"""Which agreement needs which: the graph of hard dependencies, its order, its circles and the names nobody has."""

from __future__ import annotations

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
        cycles: each begins with its least name and ends before it would come back to it.
        unknown: also those of soft dependencies.
    """

    needs: Mapping[str, tuple[str, ...]]
    needed_by: Mapping[str, tuple[str, ...]]
    certain: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]
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
    order, cycles = _walk(needs)
    dependents = {name: tuple(found) for name, found in needed_by.items()}
    return DependencyGraph(needs, dependents, certain, order, cycles, tuple(unknown))


def _walk(needs: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Depth first and without recursion: a chain may be longer than Python's stack."""
    order: list[str] = []
    cycles: set[tuple[str, ...]] = set()
    seen: set[str] = set()
    for root in needs:
        if root in seen:
            continue
        path: dict[str, Iterator[str]] = {root: iter(needs[root])}
        """From the root to where the walk is, in order, each with what is left to visit."""
        seen.add(root)
        while path:
            name = next(reversed(path))
            child = next(path[name], None)
            if child is None:
                order.append(name)
                del path[name]
            elif child in path:
                way = list(path)
                cycles.add(_from_least(way[way.index(child) :]))
            elif child not in seen:
                seen.add(child)
                path[child] = iter(needs[child])
    return tuple(order), tuple(sorted(cycles))


def _from_least(cycle: list[str]) -> tuple[str, ...]:
    least = cycle.index(min(cycle))
    return tuple(cycle[least:] + cycle[:least])
