"""What was found of one control: whether it holds, what says so, and how to see it oneself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from weftmesh.client import Client
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.config import Config


class State(StrEnum):
    """What the evidence says."""

    HOLDS = "holds"
    FAILS = "does not hold"
    NOT_IN_USE = "not in use"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured.

    Attributes:
        state: what it says.
        value: what was seen.
        source: where it was looked at.
        command: shows the same to whoever wants to see it.
    """

    state: State
    value: str
    source: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at.

    Attributes:
        client: of the node.
        status: as the node has just said.
        socket: its local socket.
        config: the configuration in force here; None where it cannot be read.
        config_file: where it should be.
    """

    client: Client
    status: mesh_pb2.NodeStatus
    socket: Path
    config: Config | None
    config_file: Path


@dataclass(frozen=True, slots=True)
class Control:
    """One control.

    Attributes:
        name: a short word for programs.
        title: what is claimed.
        look: measures it now.
    """

    name: str
    title: str
    look: Callable[[Subject], Awaitable[Evidence]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A control and its evidence."""

    control: Control
    evidence: Evidence

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        one = self.evidence
        return {
            "control": self.control.name,
            "title": self.control.title,
            "state": one.state.value.replace(" ", "_"),
            "value": one.value,
            "source": one.source,
            "command": one.command,
        }


def unknown(why: str, source: str, command: str = "") -> Evidence:
    """The evidence could not be had."""
    return Evidence(State.UNKNOWN, why, source, command)


def worst(findings: Sequence[Finding]) -> State:
    """What all of them come to: one that fails weighs more than one that nobody can tell."""
    states = {one.evidence.state for one in findings}
    for state in (State.FAILS, State.UNKNOWN):
        if state in states:
            return state
    return State.HOLDS
