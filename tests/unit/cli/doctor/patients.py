"""Patients for checks: a configuration and files in a directory, and a survey that was taken already."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path

from weftmesh.cli.config_file import render
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.probe import Answer
from weftmesh.cli.doctor.remedies import Remedies
from weftmesh.cli.doctor.survey import Survey
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.config import load_config

VOTER = mesh_pb2.MEMBER_ROLE_VOTER


def status(node: str, voters: tuple[str, ...], *, leader: str = "", version: str = "0.1.0") -> mesh_pb2.NodeStatus:
    """What a node says of itself; it has a quorum if it has a leader."""
    members = [mesh_pb2.Member(name=name, address=f"{name}:7450", role=VOTER) for name in voters]
    return mesh_pb2.NodeStatus(node=node, version=version, leader=leader, quorum=bool(leader), members=members)


def answer(node: str, found: mesh_pb2.NodeStatus | None, **facts: object) -> Answer:
    """How a peer answered, or that it did not."""
    made = Answer(node, f"{node}:7450", status=found)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def survey(own: mesh_pb2.NodeStatus | None, *peers: Answer, node: str = "n1", not_asked: str = "") -> Survey:
    """What everybody said."""
    return Survey(node, own, "" if own else "nobody answers", peers, not_asked)


def patient(
    directory: Path,
    taken: Survey | None = None,
    settings: Mapping[tuple[str, str], str | bool] | None = None,
    *,
    has_unit: bool = True,
    programs: tuple[str, ...] = (),
) -> Patient:
    """A node with its files below a directory, on a machine with some programs. Made inside an event loop."""
    file = directory / "weftmesh.toml"
    places: dict[tuple[str, str], str | bool] = {
        ("node", "name"): "n1",
        ("node", "data_dir"): str(directory / "data"),
        ("node", "run_dir"): str(directory / "run"),
    }
    file.write_text(render({**places, **(settings or {})}))
    surveying: asyncio.Future[Survey] = asyncio.get_running_loop().create_future()
    surveying.set_result(taken or survey(None))
    config = load_config(file, environment={})
    remedies = Remedies(file, has_unit=has_unit, has=lambda name: name in programs)
    return Patient(config, config.node.run_dir / "api.sock", remedies, surveying)


def sh(command: str) -> None:
    """Run a fix that must succeed."""
    subprocess.run(["sh", "-c", command], check=True)
