"""What may be written: shapes and limits.

A replica must decide as every other one does, whatever its tables of time zones or its release say: what needs a
calendar, or judges whether an agreement is wise, is looked at before the command is written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from weftmesh.core.board.plans import quoted
from weftmesh.core.board.validate import single_line
from weftmesh.core.ola.bounds import bound_problems
from weftmesh.core.ola.model import Agreement, Exclusion
from weftmesh.core.ola.problems import EXCLUSION_S, NAME
from weftmesh.core.ola.replicated.plans import invalid
from weftmesh.core.ola.replicated.rows import WINDOW_S, ConfirmedAgreement, Limits

_NODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TIME_MAX_S: Final = 2**40
_SIGNATURE_BYTES: Final = range(1, 81)
_WORKFLOW_BYTES_MAX: Final = 64


def check_agreement(agreement: Agreement) -> None:
    """Refuses an agreement that is out of bounds."""
    problem = next(bound_problems(agreement), None)
    if problem is not None:
        where = ".".join(map(str, problem.path))
        raise invalid(f"agreement {quoted(agreement.name)}, {where}: {problem.message}; {problem.fix}")
    keys = [one.key for one in agreement.objectives]
    if not keys or len(set(keys)) < len(keys):
        raise invalid(f"agreement {agreement.name}: has no objective, or one of them twice; name each once")


def check_exclusion(exclusion: Exclusion) -> None:
    """Refuses an exclusion that is out of bounds."""
    note(exclusion.reason, "reason")
    for where in ("starts_at", "timezone", "rrule", "author"):
        single_line(where, getattr(exclusion, where), Limits.NOTE_CHARACTERS)
    if exclusion.duration_s not in EXCLUSION_S:
        raise invalid(f"duration: {quoted(exclusion.duration_s)} s is not {EXCLUSION_S[0]} to {EXCLUSION_S[-1]}")


def check_node(name: str) -> None:
    """Refuses what cannot be a node's name."""
    if _NODE.fullmatch(name) is None:
        raise invalid(f"node: {quoted(name)} is not a node's name: 1 to 63 letters, digits, dots, _ or -")


def check_start(starts_s: int) -> None:
    """Refuses what no window starts at."""
    if starts_s not in range(WINDOW_S, _TIME_MAX_S, WINDOW_S):
        raise invalid(f"starts_s: {quoted(starts_s)} is not the start of a window: Unix seconds, by {WINDOW_S}")


def check_moment(where: str, moment_s: int) -> None:
    """Refuses what is no time."""
    if not 0 < moment_s < _TIME_MAX_S:
        raise invalid(f"{where}: {quoted(moment_s)} is not a time in Unix seconds")


def check_signature(signature: bytes) -> None:
    """Refuses what cannot be a signature."""
    if len(signature) not in _SIGNATURE_BYTES:
        raise invalid(f"signature: {len(signature)} bytes are none; the node signs with its certificate's key")


def check_confirmed(agreements: Sequence[ConfirmedAgreement]) -> None:
    """Refuses what cannot be agreements that a node judged by; they may have been retired since."""
    if len(agreements) > Limits.AGREEMENTS:
        raise invalid(f"agreements: has {len(agreements)}, at most {Limits.AGREEMENTS} are in force")
    if len({one.name for one in agreements}) < len(agreements):
        raise invalid("agreements: one occurs twice; send each once")
    for one in agreements:
        if NAME.fullmatch(one.name) is None or one.generation < 1:
            raise invalid(f"agreements: {quoted(one.name)} generation {quoted(one.generation)} is none")
        if not 0 < len(one.workflow) <= _WORKFLOW_BYTES_MAX:
            raise invalid(f"workflow: {len(one.workflow)} bytes are no hash; send that of the workflow graph")


def note(text: str, where: str = "why") -> str:
    """A line for people that says why; it must not be empty."""
    if not text:
        raise invalid(f"{where}: is empty; say why, in a line")
    return single_line(where, text, Limits.NOTE_CHARACTERS)
