"""Whether a change makes sense, by calendars and dependencies: looked at before it is written.

Replicas must not judge by time zones, of which two machines can have different tables. What this needs is loaded with
the first change, and in a thread: a node whose agreements nobody changes never has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import Agreement
from weftmesh.core.ola.replicated.commands import AddExclusion, ApplyAgreements, Command
from weftmesh.core.ola.replicated.rows import Generation


async def check_sense(command: Command, in_force: Sequence[Generation]) -> None:
    """Refuse agreements that contradict themselves or each other, and exclusions that nobody can read.

    Raises:
        InvalidInputError: the first thing that is wrong, where, and what to do.
    """
    present = {one.name: one.agreement for one in in_force}
    if isinstance(command, ApplyAgreements):
        retired = {one.name for one in command.retire}
        applied = [one.agreement for one in command.agreements]
        kept = {name: one for name, one in present.items() if name not in retired}
        await asyncio.to_thread(_check_agreements, list(present.values()), applied, kept)
    elif isinstance(command, AddExclusion) and command.name in present:
        changed = replace(present[command.name], exclusions=(command.exclusion,))
        await asyncio.to_thread(_check_agreement, changed, "exclusions")


def _check_agreements(present: list[Agreement], applied: list[Agreement], kept: dict[str, Agreement]) -> None:
    from weftmesh.core.ola.plan import plan

    for one in applied:
        _check_agreement(one)
    wanted = {**kept, **{one.name: one for one in applied}}
    for found in plan(present, wanted.values(), prune=True).problems:
        if found.blocks:
            _refuse(found.agreement, found.problem.path, found.problem.message, found.problem.fix)


def _check_agreement(agreement: Agreement, part: str = "") -> None:
    """All of it, or one part: what is in force already may be what this release would refuse."""
    from weftmesh.core.ola.checking import check_agreement

    for problem in check_agreement(agreement):
        if part in ("", problem.path[0]):
            _refuse(agreement.name, problem.path, problem.message, problem.fix)


def _refuse(name: str, path: tuple[str | int, ...], message: str, fix: str) -> None:
    where = ".".join(map(str, path))
    raise InvalidInputError(f"agreement {name}, {where}: {message}; {fix}", reason="AGREEMENT_INVALID")
