"""What may be written: shapes and limits. A value comes back as the machine stores it, or is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from weftmesh.core.board.plans import quoted
from weftmesh.core.board.validate import single_line
from weftmesh.core.learning.model import Coordinator, HeadSums, Limits, Metric, NoisePolicy
from weftmesh.core.learning.plans import invalid
from weftmesh.core.learning.privacy import sum_cost_nano_rho
from weftmesh.core.noise.shares import CLIP_RANGE, SIGMA_RANGE

_JOB: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""What secure aggregation takes for a job's name, too."""
_NODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_FIGURE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_ROUND_ID_BYTES: Final = 16
_SHA256_BYTES: Final = 32
_INT_MAX: Final = 2**63 - 1
_PERCENT: Final = range(50, 101)
"""From a half on: of two disjoint sets of a roster only one can be beyond it."""
_DELTA_RANGE: Final = (1e-15, 0.1)
_COST_MAX_NANO_RHO: Final = _INT_MAX


def check_job_name(name: str) -> None:
    """Refuses what cannot be a job's name."""
    if _JOB.fullmatch(name) is None:
        raise invalid(
            f"job: {quoted(name)} is not 1 to 63 small letters, digits or -, with a letter first and no - last"
        )


def check_node(name: str, where: str = "node") -> None:
    """Refuses what cannot be a node's name."""
    if _NODE.fullmatch(name) is None:
        raise invalid(f"{where}: {quoted(name)} is not a node's name: 1 to 63 letters, digits, dots, _ or -")


def check_coordinator(coordinator: Coordinator) -> None:
    """Refuses a coordinator without a name or a term."""
    check_node(coordinator.node, "coordinator")
    check_range("term", coordinator.term, 1, _INT_MAX, "send the Raft term in which the node leads")


def check_round_id(round_id: bytes) -> None:
    """Refuses what is not a round's id."""
    if len(round_id) != _ROUND_ID_BYTES:
        raise invalid(f"round_id: has {len(round_id)} bytes; send {_ROUND_ID_BYTES} random ones")


def check_sha256(digest: bytes, where: str) -> None:
    """Refuses what is not a SHA-256."""
    if len(digest) != _SHA256_BYTES:
        raise invalid(f"{where}: has {len(digest)} bytes; send the {_SHA256_BYTES} of a SHA-256")


def check_range(where: str, value: int, lowest: int, highest: int, what_to_do: str) -> None:
    """Refuses a number that is out of range."""
    if not lowest <= value <= highest:
        raise invalid(f"{where}: {quoted(value)} is not {lowest} to {highest}; {what_to_do}")


def check_size(size_bytes: int, blob_holders: int) -> None:
    """Refuses a model without bytes, or one that nobody holds."""
    check_range("size_bytes", size_bytes, 1, _INT_MAX, "send the size of the model's bytes")
    check_range(
        "blob_holders", blob_holders, 1, Limits.BLOB_HOLDERS, "store the model's bytes on a majority before it is added"
    )


def note(text: str, where: str = "why") -> str:
    """A line for people that says why; it must not be empty."""
    if not text:
        raise invalid(f"{where}: is empty; say why, in a line")
    return single_line(where, text, Limits.NOTE_CHARACTERS)


def node_set(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Nodes, each once, sorted."""
    if len(names) > Limits.CONTRIBUTORS:
        raise invalid(f"{where}: has {len(names)} nodes, a sum has at most {Limits.CONTRIBUTORS}; draw some of them")
    for name in names:
        check_node(name, where)
    ordered = tuple(sorted(set(names)))
    if len(ordered) != len(names):
        raise invalid(f"{where}: names a node twice; name each once")
    return ordered


def check_definition(spec: bytes, contributors_floor: int, threshold_percent: int, interval_s: int) -> None:
    """Refuses the definition of a job that could not be carried out safely."""
    if len(spec) > Limits.SPEC_BYTES:
        raise invalid(f"spec: has {len(spec)} bytes, the limit is {Limits.SPEC_BYTES}; keep data out of it")
    check_range(
        "contributors_floor",
        contributors_floor,
        Limits.CONTRIBUTORS_FLOOR,
        Limits.CONTRIBUTORS,
        "with fewer contributors a sum shows what one of them sent",
    )
    check_range(
        "threshold_percent",
        threshold_percent,
        _PERCENT[0],
        _PERCENT[-1],
        "with less than a half two coordinators could unmask two sums of one round",
    )
    check_range("interval_s", interval_s, 0, _INT_MAX, "send seconds, or 0 for rounds on request only")


def checked_noise(noise: NoisePolicy | None, contributors_floor: int) -> NoisePolicy | None:
    """Noise that can be added, whose cost can be told, and a budget that pays for at least one sum."""
    if noise is None:
        return None
    _check_real("noise.clip", noise.clip, CLIP_RANGE)
    _check_real("noise.sigma", noise.sigma, SIGMA_RANGE)
    _check_real("noise.delta", noise.delta, _DELTA_RANGE)
    what_to_do = "of the fewest contributors one has to be honest, whose noise nobody else knows"
    check_range("noise.colluders", noise.colluders, 0, contributors_floor - 1, what_to_do)
    cost = sum_cost_nano_rho(noise)
    if cost > _COST_MAX_NANO_RHO:
        raise invalid("noise: one sum costs more than any budget; raise sigma")
    what_to_do = f"one sum costs {cost}: raise sigma or the budget"
    check_range("noise.budget_nano_rho", noise.budget_nano_rho, cost, _INT_MAX, what_to_do)
    return NoisePolicy(
        float(noise.clip), float(noise.sigma), noise.budget_nano_rho, float(noise.delta), noise.colluders
    )


def _check_real(where: str, value: float, bounds: tuple[float, float]) -> None:
    lowest, highest = bounds
    # What is not a number compares false.
    if not lowest <= value <= highest:
        raise invalid(f"{where}: {value!r} is not {lowest:g} to {highest:g}; send a number between them")


def metrics(figures: Sequence[Metric]) -> tuple[Metric, ...]:
    """Finite figures, each name once, sorted by name."""
    if len(figures) > Limits.METRICS:
        raise invalid(f"metrics: has {len(figures)} figures, the limit is {Limits.METRICS}; send the telling ones")
    _check_names("metrics", [one.name for one in figures])
    ordered = sorted(figures, key=lambda one: one.name)
    return tuple([Metric(one.name, _finite(f"metrics.{one.name}", one.value)) for one in ordered])


def head_sums(heads: Sequence[HeadSums]) -> tuple[HeadSums, ...]:
    """Sums by head, each head once, sorted by head."""
    if not 1 <= len(heads) <= Limits.HEADS:
        raise invalid(f"heads: has {len(heads)}; send the sums of 1 to {Limits.HEADS} heads")
    _check_names("heads", [one.head for one in heads])
    return tuple([_sums(one) for one in sorted(heads, key=lambda one: one.head)])


def _sums(one: HeadSums) -> HeadSums:
    examples = _finite(f"{one.head}.examples", one.examples)
    if examples < 0:
        raise invalid(f"{one.head}.examples: {examples!r} is negative; send how many there were")
    return HeadSums(
        one.head,
        examples,
        _finite(f"{one.head}.model_loss", one.model_loss),
        _finite(f"{one.head}.baseline_loss", one.baseline_loss),
        metrics(one.further),
    )


def _finite(where: str, value: float) -> float:
    if not math.isfinite(value):
        raise invalid(f"{where}: is {value!r}; send finite numbers only")
    return float(value)


def _check_names(where: str, names: Sequence[str]) -> None:
    for name in names:
        if _FIGURE.fullmatch(name) is None:
            raise invalid(f"{where}: {quoted(name)} is not a name: small letters, digits, _, . or -, a letter first")
    if len(set(names)) != len(names):
        raise invalid(f"{where}: a name occurs twice; send each once")
