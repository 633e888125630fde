"""How agreements are doing, computed here from what a node's replica counted: no node spends its loop on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from weftmesh.client.ola import OlaApi
from weftmesh.core.errors import InvalidInputError, NotFoundError
from weftmesh.core.ola.model import Agreement, Exclusion, ServiceClass
from weftmesh.core.ola.replicated.rows import (
    AddedExclusion,
    Breach,
    Generation,
    Standing,
    class_in_force,
)
from weftmesh.core.ola.status import AgreementStatus, agreement_status
from weftmesh.ola.v1 import ola_pb2
from weftmesh.runtime.wire.learning_records import read


@dataclass(frozen=True, slots=True)
class Held:
    """One agreement as a node has it.

    Attributes:
        generation: the newest.
        standing: whether it is in force, and its class.
        added: exclusions beside its own.
        breaches: that are kept.
    """

    generation: Generation
    standing: Standing
    added: tuple[AddedExclusion, ...]
    breaches: tuple[Breach, ...]

    @property
    def agreement(self) -> Agreement:
        """What it says."""
        return self.generation.agreement

    @property
    def service_class(self) -> ServiceClass:
        """In force now, agreed or raised."""
        return class_in_force(self.agreement, self.standing)

    @property
    def exclusions_added(self) -> tuple[Exclusion, ...]:
        """Beside its own."""
        return tuple(one.exclusion for one in self.added)


@dataclass(frozen=True, slots=True)
class Judged:
    """An agreement, how it is doing, and what that was computed from."""

    held: Held
    status: AgreementStatus
    history: ola_pb2.History


def held_agreements(view: ola_pb2.AgreementsView, *, retired: bool = False) -> list[Held]:
    """The agreements of a view, sorted by name.

    Args:
        view: with the newest generation of each.
        retired: also those that are not in force any more.

    Raises:
        InvalidInputError: the node is of a newer release and says what this one cannot read.
    """
    standings = {one.name: read(Standing, one) for one in view.standings}
    newest = {one.name: read(Generation, one) for one in view.generations}
    added = [read(AddedExclusion, one) for one in view.exclusions]
    breaches = [read(Breach, one) for one in view.breaches]
    return [
        Held(
            newest[name],
            standing,
            tuple(one for one in added if one.name == name),
            tuple(one for one in breaches if one.name == name),
        )
        for name, standing in sorted(standings.items())
        if name in newest and (retired or not standing.retired)
    ]


async def judge(
    ola: OlaApi,
    now_s: int,
    names: Iterable[str] = (),
    *,
    check_signatures: bool = False,
    timeout_s: float | None = None,
) -> list[Judged]:
    """How agreements in force are doing.

    Args:
        ola: of the node.
        now_s: Unix time.
        names: which; none for all.
        check_signatures: also whether nodes signed their confirmations; on the local socket only.
        timeout_s: for each call.

    Raises:
        NotFoundError: one of them is not in force.
        InvalidInputError: one cannot be read here.
    """
    held = {one.generation.name: one for one in held_agreements(await ola.get_agreements(timeout_s=timeout_s))}
    wanted = list(names) or list(held)
    for name in wanted:
        if name not in held:
            raise NotFoundError(f"no agreement {name!r} is in force; see `weftmesh ola ls`")
    found = []
    for name in dict.fromkeys(wanted):
        history = await ola.get_history(name, check_signatures=check_signatures, timeout_s=timeout_s)
        found.append(judged(held[name], history, now_s))
    return found


def judged(held: Held, history: ola_pb2.History, now_s: int) -> Judged:
    """How one agreement is doing.

    Args:
        held: the agreement.
        history: what was counted, at least of its window.
        now_s: Unix time.

    Raises:
        InvalidInputError: its calendar cannot be read here.
    """
    parts = {one.objective: one.parts for one in history.objectives}
    try:
        status = agreement_status(
            held.agreement,
            lambda key, from_s, until_s: [one for one in parts.get(key, ()) if from_s <= one.starts_s < until_s],
            now_s,
            held.exclusions_added,
        )
    except InvalidInputError as error:  # a time zone, say, that this machine's tables do not have
        name = held.generation.name
        raise InvalidInputError(f"agreement {name} cannot be judged here: {error}", reason=error.reason) from error
    return Judged(held, status, history)
