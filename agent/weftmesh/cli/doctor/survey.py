"""Asks this node over its local socket, and every member that is known over its mesh port; once, for all checks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weftmesh.cli.doctor.probe import Answer, ask
from weftmesh.client import connect
from weftmesh.core.errors import WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.certificates import load_certificate, utc_now
from weftmesh.runtime.identity.founding import NodeRecord, identity_store, load_seeds

OWN_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Survey:
    """What was answered.

    Attributes:
        node: this node's name; empty where it belongs to no mesh yet, or nobody says.
        own: what this node said over its local socket; None when it did not answer.
        own_error: why not.
        peers: the other members, by name.
        not_asked: why no peer was asked, if so.
    """

    node: str
    own: mesh_pb2.NodeStatus | None
    own_error: str
    peers: tuple[Answer, ...]
    not_asked: str = ""

    @property
    def answered(self) -> tuple[Answer, ...]:
        """The peers that answered."""
        return tuple(peer for peer in self.peers if peer.status is not None)

    @property
    def members(self) -> Mapping[str, mesh_pb2.Member]:
        """The members as this node knows them, else as a peer does; empty when nobody answered."""
        known = [self.own, *(peer.status for peer in self.answered)]
        return next(({one.name: one for one in status.members} for status in known if status is not None), {})


async def take_survey(config: Config, socket: Path) -> Survey:
    """Ask everybody; whatever fails is part of the answer."""
    own, own_error = await _ask_own(socket)
    try:
        record = NodeRecord.load(config.node.data_dir)
        known = {seed.name: seed.address for seed in load_seeds(config.node.data_dir)}
        reason = _cannot_ask(config.node.data_dir)
    except (WeftmeshError, OSError) as error:
        return Survey(own.node if own else "", own, own_error, (), str(error))
    if own is not None:
        known = {member.name: member.address for member in own.members}
    known.pop(record.node, None)
    if reason or not known:
        nobody = "this node does not run and knows no other" if own is None else ""
        return Survey(record.node, own, own_error, (), reason or nobody)
    peers = await _ask_peers(config.node.data_dir, record, known)
    return Survey(record.node, own, own_error, tuple(sorted(peers, key=lambda peer: peer.node)))


async def _ask_own(socket: Path) -> tuple[mesh_pb2.NodeStatus | None, str]:
    try:
        async with connect(str(socket), timeout_s=OWN_TIMEOUT_S) as client:
            return await client.mesh.get_status(timeout_s=OWN_TIMEOUT_S), ""
    except WeftmeshError as error:
        return None, str(error)


async def _ask_peers(data_dir: Path, record: NodeRecord, known: Mapping[str, str]) -> list[Answer]:
    """Ask those that are known, and then those that only they know."""
    directory = identity_store(data_dir).directory
    found: dict[str, Answer] = {}
    while known:
        answers = await asyncio.gather(*(ask(directory, record.cluster, *peer) for peer in known.items()))
        found |= {answer.node: answer for answer in answers}
        members = [member for answer in answers if answer.status for member in answer.status.members]
        known = {one.name: one.address for one in members if one.name not in {record.node, *found}}
    return list(found.values())


def _cannot_ask(data_dir: Path) -> str:
    """Why no peer would talk to this node: the finding about its certificate is then the one to mend first."""
    certificate = load_certificate((identity_store(data_dir).directory / "node.pem").read_bytes(), what="node.pem")
    if not certificate.not_valid_before_utc <= utc_now() <= certificate.not_valid_after_utc:
        return "this node's certificate is not in force"
    return ""
