"""Agreements and what does not count in them: what people decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import quoted
from weftmesh.core.ola.dependencies import dependency_graph
from weftmesh.core.ola.model import Agreement
from weftmesh.core.ola.replicated.commands import (
    AddExclusion,
    ApplyAgreements,
    NewGeneration,
    RemoveExclusion,
    Retirement,
    SetClass,
)
from weftmesh.core.ola.replicated.outcomes import Reason, Verb
from weftmesh.core.ola.replicated.plans import Change, Happening, Plan, Refusal, Unchanged, agreement_named, invalid
from weftmesh.core.ola.replicated.rows import AddedExclusion, Generation, Limits, Row, Standing, class_in_force
from weftmesh.core.ola.replicated.store import Store
from weftmesh.core.ola.replicated.validate import check_agreement, check_exclusion, note
from weftmesh.core.ola.structure_problems import structure_problems


def plan_apply(store: Store, command: ApplyAgreements) -> Plan:
    """New generations of those that differ from what is in force; the others stay as they are."""
    _check_names(command)
    why = note(command.why) if command.why else ""
    rows: list[Row] = []
    happenings = []
    for one in command.agreements:
        check_agreement(one.agreement)
        _check_seen(store, one.agreement.name, one.seen)
        new = _new_generation(store, one, command)
        if new is not None:
            rows += [new, _applied(store, new)]
            happenings.append(Happening(Verb.APPLIED, new.name, new.number, why))
    for retirement in command.retire:
        _check_seen(store, retirement.name, retirement.seen)
        standing = _retired(store, retirement, why)
        rows.append(standing)
        happenings.append(Happening(Verb.RETIRED, standing.name, standing.generation, why))
    _check_limit(store, command)
    if not rows:
        return Unchanged("")
    _check_structure(store, command)
    return Change(happenings[0].subject, tuple(rows), happenings=tuple(happenings))


def _check_names(command: ApplyAgreements) -> None:
    names = Counter([one.agreement.name for one in command.agreements] + [one.name for one in command.retire])
    if not names:
        raise invalid("nothing is to be applied and nothing to be retired; name an agreement")
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise invalid(f"{', '.join(map(quoted, twice[:5]))}: named twice; name each agreement once")


def _check_seen(store: Store, name: str, seen: int) -> None:
    standing = store.standings.get(name)
    present = 0 if standing is None else standing.generation
    if seen != present:
        raise Refusal(
            Reason.GENERATION_CONFLICT,
            f"agreement {quoted(name)} is at generation {present}, not {seen}; nothing was applied: plan again and "
            "decide",
            OutcomeKind.COLLISION,
            current_version=present,
        )


def _check_limit(store: Store, command: ApplyAgreements) -> None:
    names = {one.name for one in store.standings if not one.retired}
    names = names.union([one.agreement.name for one in command.agreements]) - {one.name for one in command.retire}
    if len(names) > Limits.AGREEMENTS:
        raise Refusal(
            Reason.LIMIT_REACHED, f"{len(names)} agreements would be in force, at most {Limits.AGREEMENTS} can be"
        )


def _check_structure(store: Store, command: ApplyAgreements) -> None:
    """Two people who look at the same state, and of whom each applies what is good by itself, can make a circle or take
    away what the other one needs. What was wrong before stays as it is: it must stop no one from mending the rest.
    """
    before = {one.name: one.agreement for one in store.all_in_force()}
    retired = {one.name for one in command.retire}
    after = {name: one for name, one in before.items() if name not in retired}
    after |= {one.agreement.name: one.agreement for one in command.agreements}
    wrong = _blocking(after)
    fresh = wrong - _blocking(before) if wrong else wrong
    if fresh:
        name, message, fix = min(fresh)
        raise Refusal(Reason.CONTRADICTION, f"agreement {name}: {message}; {fix}, or plan again", OutcomeKind.COLLISION)


def _blocking(agreements: Mapping[str, Agreement]) -> set[tuple[str, str, str]]:
    ordered = {name: agreements[name] for name in sorted(agreements)}
    found = structure_problems(ordered, dependency_graph(ordered))
    return {(one.agreement, one.problem.message, one.problem.fix) for one in found if one.blocks}


def _new_generation(store: Store, one: NewGeneration, command: ApplyAgreements) -> Generation | None:
    present = store.in_force(one.agreement.name)
    if present is not None and present.agreement == one.agreement:
        return None
    header = command.header
    return Generation(
        one.agreement.name, one.seen + 1, one.agreement, header.actor, header.stamp, revision=store.revision + 1
    )


def _applied(store: Store, new: Generation) -> Standing:
    before = store.standings.get(new.name)
    if before is None or before.retired:
        return Standing(new.name, new.number, new.revision, exclusions=0 if before is None else before.exclusions)
    after = replace(before, generation=new.number, revision=new.revision)
    is_raised = bool(after.raised_to) and after.raised_to < new.agreement.service_class
    return after if is_raised else replace(after, raised_to=0, raised_why="")


def _retired(store: Store, retirement: Retirement, why: str) -> Standing:
    agreement_named(store, retirement.name)
    before = store.standings[retirement.name]
    return replace(before, revision=store.revision + 1, retired=True, retired_why=note(why), raised_to=0, raised_why="")


def plan_add_exclusion(store: Store, command: AddExclusion) -> Plan:
    """One more time that does not count."""
    found = agreement_named(store, command.name)
    check_exclusion(command.exclusion)
    present = store.exclusions_of(command.name)
    same = next((one for one in present if one.exclusion == command.exclusion), None)
    if same is not None:
        return Unchanged(command.name, same.number)
    if len(present) >= Limits.EXCLUSIONS_ADDED:
        raise Refusal(
            Reason.LIMIT_REACHED,
            f"{command.name} has {len(present)} added exclusions already; write them into its file, or remove some",
        )
    standing = store.standings[command.name]
    number = standing.exclusions + 1
    row = AddedExclusion(command.name, number, command.exclusion, command.header.stamp)
    standing = replace(standing, revision=store.revision + 1, exclusions=number)
    happening = Happening(Verb.EXCLUSION_ADDED, command.name, found.number, command.exclusion.reason)
    return Change(command.name, (row, standing), happenings=(happening,), current_version=number)


def plan_remove_exclusion(store: Store, command: RemoveExclusion) -> Plan:
    """One less."""
    found = agreement_named(store, command.name)
    row = store.exclusions.get((command.name, command.number))
    if row is None:
        known = ", ".join(str(one.number) for one in store.exclusions_of(command.name)) or "none"
        raise Refusal(
            Reason.NO_SUCH_EXCLUSION,
            f"{command.name} has no added exclusion {quoted(command.number)}; it has {known}",
            OutcomeKind.NOT_FOUND,
        )
    standing = replace(store.standings[command.name], revision=store.revision + 1)
    happening = Happening(Verb.EXCLUSION_REMOVED, command.name, found.number, note(command.why))
    return Change(command.name, (standing,), (row,), (happening,), current_version=command.number)


def plan_set_class(store: Store, command: SetClass) -> Plan:
    """A better class than agreed, or the agreed one."""
    found = agreement_named(store, command.name)
    before = store.standings[command.name]
    agreed, present = found.agreement.service_class, class_in_force(found.agreement, before)
    if command.to > agreed:
        raise Refusal(
            Reason.CLASS,
            f"{command.name} was promised class {agreed.name.lower()}, which {command.to.name.lower()} comes after; "
            "change the agreement to go below it",
        )
    if command.to == present:
        return Unchanged(command.name, found.number)
    raised = command.to < agreed
    why = note(command.why)
    after = replace(
        before,
        revision=store.revision + 1,
        raised_to=int(command.to) if raised else 0,
        raised_why=why if raised else "",
    )
    verb = Verb.CLASS_RAISED if command.to < present else Verb.CLASS_LOWERED
    text = f"{present.name.lower()} to {command.to.name.lower()}: {why}"
    return Change(command.name, (after,), happenings=(Happening(verb, command.name, found.number, text),))
