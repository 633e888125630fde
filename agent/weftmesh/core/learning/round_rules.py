"""What a round has to fulfil: enough contributors who take part, a whole roster, an open base version, a budget."""

from __future__ import annotations

from typing import Final

from weftmesh.core.clock import stamp_to_ms
from weftmesh.core.learning.model import Job, Round, UnmaskIntent
from weftmesh.core.learning.moments import objection
from weftmesh.core.learning.outcomes import Reason
from weftmesh.core.learning.plans import Refusal
from weftmesh.core.learning.privacy import budget_objection, sum_cost_nano_rho
from weftmesh.core.learning.store import Store

_DIGEST_BYTES_SHOWN: Final = 8
_NAMES_SHOWN: Final = 5


def check_not_closed(store: Store, opened: Round) -> None:
    """Refuses a round on a base version that has an intent for its kind."""
    known = store.intents.get((opened.job, opened.kind, opened.base_version))
    if known is not None:
        raise closed(known)


def closed(known: UnmaskIntent) -> Refusal:
    """Another intent, or round, on the base version of `known`."""
    return Refusal(
        Reason.BASE_CLOSED,
        f"version {known.base_version} of job {known.job} is closed to {known.kind.name.lower()}: round "
        f"{known.round_id.hex()} has an intent on it for {len(known.active)} contributors, and another sum over the "
        "same model could show what one of them sent; go on from another version, or add a new one",
    )


def check_enough(job: Job, contributors: tuple[str, ...]) -> None:
    """Refuses fewer contributors than the job's floor."""
    if len(contributors) < job.contributors_floor:
        raise Refusal(
            Reason.TOO_FEW_CONTRIBUTORS,
            f"job {job.name} takes at least {job.contributors_floor} contributors, these are {len(contributors)}; wait "
            "until more nodes are there",
        )


def check_moment(job: Job, as_of_s: int, known_s: int, stamp: int) -> None:
    """Refuses a moment that is neither a known one, that of the base version or the job's newest, nor a new one."""
    against = objection(as_of_s, (known_s, job.as_of_s), job.as_of_s, stamp_to_ms(stamp) / 1_000)
    if against:
        raise Refusal(Reason.MOMENT, f"as_of_s: {against}")


def check_willing(store: Store, job: Job, nodes: tuple[str, ...], what_to_do: str) -> None:
    """Refuses nodes whose owners take no part."""
    unwilling = [node for node in nodes if store.is_opted_out(node, job.name)]
    if unwilling:
        raise Refusal(Reason.OPTED_OUT, f"{node_names(unwilling)} opted out of job {job.name}; {what_to_do}")


def check_budget(job: Job) -> int:
    """What one sum costs, if there is that much left."""
    if objection := budget_objection(job):
        raise Refusal(Reason.BUDGET_SPENT, objection)
    return sum_cost_nano_rho(job.noise)


def check_sets(job: Job, present: Round, roster_sha256: bytes, active: tuple[str, ...], dead: tuple[str, ...]) -> None:
    """Refuses sets that are not the whole roster, each node once, with enough of it active."""
    if not present.roster_sha256:
        raise Refusal(Reason.ROSTER_DIFFERS, f"the roster of round {present.id.hex()} is not fixed; fix it first")
    if present.roster_sha256 != roster_sha256:
        raise Refusal(
            Reason.ROSTER_DIFFERS,
            f"round {present.id.hex()} has the roster {present.roster_sha256[:_DIGEST_BYTES_SHOWN].hex()}..., not this "
            "one; unmask nothing, abandon the round",
        )
    both = sorted(set(active) & set(dead))
    if both:
        raise Refusal(Reason.ROSTER_DIFFERS, f"{node_names(both)} are both active and dead; count each once")
    odd = sorted(set(active + dead) ^ set(present.contributors))
    if odd:
        raise Refusal(
            Reason.ROSTER_DIFFERS,
            f"the active and the dead are not the roster of round {present.id.hex()}: look at {node_names(odd)}",
        )
    needed = max(job.contributors_floor, job.threshold(len(present.contributors)))
    if len(active) < needed:
        raise Refusal(
            Reason.TOO_FEW_CONTRIBUTORS,
            f"{len(active)} of {len(present.contributors)} contributors are active, {needed} have to be; abandon the "
            "round and open another one",
        )


def node_names(nodes: list[str]) -> str:
    """Nodes for a message, the first few by name."""
    shown = ", ".join(nodes[:_NAMES_SHOWN])
    return shown if len(nodes) <= _NAMES_SHOWN else f"{shown} and {len(nodes) - _NAMES_SHOWN} more"
