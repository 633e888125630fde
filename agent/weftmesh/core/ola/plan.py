"""What would change if agreements were applied, what is wrong with the result, and who feels it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TypeAlias

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.dependencies import dependency_graph
from weftmesh.core.ola.dependencies_bounds import availability
from weftmesh.core.ola.model import Agreement
from weftmesh.core.ola.plan_changes import FieldChange, changed_fields
from weftmesh.core.ola.plan_problems import plan_problems
from weftmesh.core.ola.structure_problems import PlanProblem
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class Added:
    """An agreement that is new."""

    name: str


@record(frozen=True, slots=True)
class Changed:
    """An agreement that would say something else."""

    name: str
    fields: tuple[FieldChange, ...]


@record(frozen=True, slots=True)
class Removed:
    """An agreement that would be retired."""

    name: str


Change: TypeAlias = Added | Changed | Removed


@record(frozen=True, slots=True)
class Affected:
    """An agreement that stays as it is and needs one that does not.

    Attributes:
        name: of the agreement.
        path: the shortest way to a changed one: itself first, the changed one last.
        before: the most that its dependencies can give now; None where it has none.
        after: the most that they could give then.
    """

    name: str
    path: tuple[str, ...]
    before: Fraction | None
    after: Fraction | None


@record(frozen=True, slots=True)
class Plan:
    """Everything is in the order of names.

    Attributes:
        changes: empty where all is as wanted already.
        problems: of the agreements as they would be, also of those that do not change.
        affected: agreements that do not change and need one that does.
    """

    changes: tuple[Change, ...]
    problems: tuple[PlanProblem, ...]
    affected: tuple[Affected, ...]

    @property
    def applicable(self) -> bool:
        """Whether nothing is so wrong that the result could not be run."""
        return not any(one.blocks for one in self.problems)


def plan(current: Iterable[Agreement], wanted: Iterable[Agreement], *, prune: bool = False) -> Plan:
    """Compare what is with what should be.

    Args:
        current: the agreements that hold now.
        wanted: those that should hold; the order of either does not matter.
        prune: retire what is not wanted; otherwise it stays.

    Raises:
        InvalidInputError: two of the current or two of the wanted have the same name.
    """
    old, asked = _by_name(current), _by_name(wanted)
    new = asked if prune else {**old, **asked}
    changes = _changes(old, new)
    before, after = dependency_graph(old), dependency_graph(new)
    could, can = availability(old, before), availability(new, after)
    names = [one.name for one in changes]
    paths = before.paths_to(names) | after.paths_to(names)
    affected = tuple(
        Affected(name, path, *((side.bounds[name].at_most if name in side.bounds else None) for side in (could, can)))
        for name, path in sorted(paths.items())
        if name in new
    )
    return Plan(changes, plan_problems(new, after, can), affected)


def _changes(old: Mapping[str, Agreement], new: Mapping[str, Agreement]) -> tuple[Change, ...]:
    changes: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            changes.append(Added(name))
        elif name not in new:
            changes.append(Removed(name))
        elif fields := changed_fields(old[name], new[name]):
            changes.append(Changed(name, fields))
    return tuple(changes)


def _by_name(agreements: Iterable[Agreement]) -> dict[str, Agreement]:
    found: dict[str, Agreement] = {}
    for one in agreements:
        if one.name in found:
            raise InvalidInputError(f"two agreements are named {one.name}: give one another name", reason="NAME_TWICE")
        found[one.name] = one
    return dict(sorted(found.items()))
