"""Steps and the graph that they make."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from weftmesh.core.records import record

Settings: TypeAlias = tuple[tuple[str, "Setting"], ...]
"""Pairs, sorted by name."""
Setting: TypeAlias = str | int | bool | tuple["Setting", ...] | Settings
"""A value, or a list of them."""


class StepKind(IntEnum):
    """What a step does, in the order in which an objective goes through them."""

    PROBE = 1
    """Ask the endpoints."""
    AGGREGATE = 2
    """Count an objective's good events and all of them."""
    EVALUATE = 3
    """Compare the counts with the promise."""
    DECIDE = 4
    """Choose weights and class of a route, from all objectives of its service."""
    APPLY = 5
    """Bring the decision to the route."""
    CONFIRM = 6
    """Sign what an objective came to over its window."""


@record(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        id: unique in the graph, and the same for the same agreements.
        kind: what it does.
        agreement: whose; empty of a route's steps, which agreements share.
        subject: the probe, the objective's key or the service.
        needs: ids of the steps before it, sorted.
        settings: all that changes what it does.
    """

    id: str
    kind: StepKind
    agreement: str
    subject: str
    needs: tuple[str, ...]
    settings: Settings = ()


@record(frozen=True, slots=True)
class Workflow:
    """A graph without circles.

    Attributes:
        steps: sorted by id.
        waves: ids; the steps of a wave need only those of earlier waves, and run side by side. Sorted within a wave.
        sha256: in hex, over everything that changes what the steps do.
    """

    steps: tuple[Step, ...]
    waves: tuple[tuple[str, ...], ...]
    sha256: str
