"""The RecoveryService: one survivor goes on alone, if the others are really gone and a person really means it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from weftmesh.agent.board.homes import Home
from weftmesh.agent.raft.core.membership import quorum_size
from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.status import NodeFacts
from weftmesh.core.errors import DataCorruptionError, InvalidInputError, PreconditionError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc, recovery_pb2, recovery_pb2_grpc
from weftmesh.runtime.files import write_atomic
from weftmesh.runtime.rpc import from_rpc_error

ASK_TIMEOUT_S: Final = 5.0
RECOVER_TIMEOUT_S: Final = 30.0
Context = grpc.aio.ServicerContext[Any, Any]
Dial = Callable[[str, str], grpc.aio.Channel]

log = structlog.get_logger("weftmesh.recovery")


class Abandoned:
    """Voters that were given up: their logs may say otherwise for ever, so what they send is not taken.

    One that was wiped and joined again is a member, and is heard as one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = _load(path)

    def __contains__(self, node: object) -> bool:
        return node in self._names

    def add(self, names: set[str]) -> None:
        """Remember more, durably.

        Raises:
            OSError: the disk does not take it.
        """
        self._names |= names
        write_atomic(self._path, json.dumps(sorted(self._names)).encode() + b"\n")


def _load(path: Path) -> set[str]:
    try:
        return {str(name) for name in json.loads(path.read_bytes())}
    except FileNotFoundError:
        return set()
    except (ValueError, TypeError) as error:
        raise DataCorruptionError(
            f"{path} cannot be read ({error}): it names the voters that were given up when the quorum was recovered. "
            'Write it anew, such as ["node2","node3"], and keep those nodes from running'
        ) from error


class RecoveryServicer(recovery_pb2_grpc.RecoveryServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.RecoveryService; recovery.proto documents it."""

    def __init__(
        self, facts: NodeFacts, home: Home, callers: Callers, abandoned: Abandoned, dial: Dial, has_authority: bool
    ) -> None:
        self._facts = facts
        self._home = home
        self._callers = callers
        self._abandoned = abandoned
        self._dial = dial
        self._has_authority = has_authority
        self._leader_lost_at: datetime | None = None
        self._had_quorum = False
        home.engine.on_change(self._note)

    def _note(self, status: RaftStatus) -> None:
        if self._had_quorum and not status.quorum:
            self._leader_lost_at = datetime.now(UTC)
        self._had_quorum = status.quorum

    async def RecoverQuorum(  # noqa: N802
        self, request: recovery_pb2.RecoverQuorumRequest, context: Context
    ) -> recovery_pb2.RecoveryReport:
        """See recovery.proto."""
        caller = self._callers.local(context)
        if not request.validate_only and request.cluster != self._facts.cluster:
            raise InvalidInputError(f"this mesh is called {self._facts.cluster!r}, not {request.cluster!r}")
        report = await self._report()
        if request.validate_only:
            return report
        if report.refusal:
            raise PreconditionError(report.refusal, reason="QUORUM_NOT_LOST")
        log.critical("recovering the quorum", by=caller.actor, given_up=[other.name for other in report.others])
        # First of all: from the moment this node decides alone, nobody of the old mesh may tell it anything.
        status = self._home.engine.status()
        self._abandoned.add({name for name in {**status.voters, **status.observers} if name != self._facts.node})
        await self._home.engine.recover_quorum(RECOVER_TIMEOUT_S)
        report.recovered = True
        _fill(report, self._home.engine.status(), self._home.board.revision)
        return report

    async def _report(self) -> recovery_pb2.RecoveryReport:
        status = self._home.engine.status()
        names = [name for name in sorted(status.voters) if name != self._facts.node]
        others = await asyncio.gather(*(self._ask(name, status.voters[name]) for name in names))
        status = self._home.engine.status()
        report = recovery_pb2.RecoveryReport(
            node=self._facts.node,
            cluster=self._facts.cluster,
            others=others,
            refusal=refusal(self._facts.node, status, others),
            has_authority=self._has_authority,
        )
        _fill(report, status, self._home.board.revision)
        report.start_time.FromDatetime(self._facts.started_at)
        if self._leader_lost_at is not None:
            report.leader_lost_time.FromDatetime(self._leader_lost_at)
        return report

    async def _ask(self, name: str, address: str) -> recovery_pb2.OtherVoter:
        other = recovery_pb2.OtherVoter(name=name, address=address)
        try:
            async with self._dial(name, address) as channel:
                stub: Any = mesh_pb2_grpc.MeshServiceStub(channel)
                status = await stub.GetStatus(mesh_pb2.GetStatusRequest(), timeout=ASK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            other.failure = str(from_rpc_error(error))
        except (WeftmeshError, OSError) as error:
            other.failure = str(error)
        else:
            other.answers = True
            other.commit_index, other.last_index = status.commit_index, status.log_last_index
            other.last_term = status.log_last_term
        return other


def _fill(report: recovery_pb2.RecoveryReport, status: RaftStatus, revision: int) -> None:
    report.term = status.term
    report.commit_index = status.commit_index
    report.last_index = status.last_index
    report.last_term = status.last_term
    report.revision = revision


def refusal(node: str, status: RaftStatus, others: list[recovery_pb2.OtherVoter]) -> str:
    """Why the quorum is not to be recovered on `node`; empty when it may be."""
    if status.quorum:
        return f"{node} follows {status.leader or 'a leader'} and has a quorum; nothing has to be recovered"
    answering = [other.name for other in others if other.answers]
    count = len(answering) + (node in status.voters)
    if count >= quorum_size(status.voters):
        return (
            f"{' and '.join(answering)} answer: with {node} {count} of {len(status.voters)} voters, a majority. "
            "They elect a leader by themselves; see `weftmesh status` on each if they do not"
        )
    # As for a vote: a long tail of an earlier term was acknowledged to nobody.
    ahead = max(others, key=lambda other: (other.last_term, other.last_index), default=None)
    if ahead is not None and (ahead.last_term, ahead.last_index) > (status.last_term, status.last_index):
        return (
            f"{ahead.name} answers and has more: entries up to {ahead.last_index} of term {ahead.last_term}, {node} up "
            f"to {status.last_index} of term {status.last_term}. Recover on {ahead.name}, wipe {node} and let it "
            "join again"
        )
    return ""
