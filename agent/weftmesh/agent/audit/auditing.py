"""The audit of a mesh: whether every voter has every write that any of them acknowledged, and the same state."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from weftmesh.agent.audit.history_check import CHECKED_WRITES_MAX, unpacked
from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.core.board.auditing import REVISION_BYTES
from weftmesh.core.errors import OverloadedError, WeftmeshError
from weftmesh.mesh.v1 import audit_pb2

BARRIER_S: Final = 10.0
NIGHT_BEGINS_HOUR: Final = 1
NIGHT_LASTS_S: Final = 4 * 3600
"""Local time; each node begins at a random moment of it, so that they do not audit at once."""

log = structlog.get_logger("weftmesh.audit")


class Voter(Protocol):
    """One voter, this node or another, as an audit asks it. Raises WeftmeshError when it cannot answer."""

    async def acknowledged(self, limit: int) -> list[bytes]:
        """The newest writes that it acknowledged, oldest first."""

    async def check(self, applied_index: int, writes: set[bytes]) -> audit_pb2.CheckHistoryResponse:
        """Whether it has `writes`, once it has applied that entry."""


class Auditor:
    """Audits the mesh, when asked and once a night.

    Attributes:
        last: the report of the last audit; None before the first.
    """

    def __init__(self, engine: RaftEngine, voter: Callable[[str, str], Voter]) -> None:
        self._engine = engine
        self._voter = voter
        self._running = False
        self.last: audit_pb2.AuditReport | None = None

    async def run(self) -> audit_pb2.AuditReport:
        """Audit the mesh now.

        Raises:
            OverloadedError: one is under way on this node.
            NoQuorumError: no majority answers.
        """
        if self._running:
            raise OverloadedError("an audit is under way on this node; its result will be in `weftmesh status`")
        self._running = True
        try:
            self.last = await self._run()
        finally:
            self._running = False
        level = log.info if self.last.passed else log.error
        level("audit", passed=self.last.passed, writes=self.last.writes, voters=len(self.last.voters))
        return self.last

    async def every_night(self) -> None:
        """Audit at a random moment of each night; what fails is told by the log and by `last`."""
        while True:
            await asyncio.sleep(seconds_until_audit(datetime.now().astimezone(), random.SystemRandom().random()))
            try:
                await self.run()
            except Exception as error:  # noqa: BLE001, whatever it is, a node does not stop because it was looked at
                log.warning("no audit tonight", why=str(error), kind=type(error).__name__)

    async def _run(self) -> audit_pb2.AuditReport:
        began_s = asyncio.get_running_loop().time()
        report = audit_pb2.AuditReport()
        report.start_time.GetCurrentTime()
        voters = {name: self._voter(name, address) for name, address in sorted(self._engine.status().voters.items())}
        share = CHECKED_WRITES_MAX // max(len(voters), 1)
        journals = await _all_answers({name: one.acknowledged(share) for name, one in voters.items()})
        writes: set[bytes] = set()
        for journal in journals.values():
            if isinstance(journal, list):
                writes.update(journal)
            await asyncio.sleep(0)
        # Behind the journals: what was acknowledged then is applied here, and has an entry up to this one.
        report.applied_index = await self._engine.read_barrier(BARRIER_S)
        index = report.applied_index
        checks = await _all_answers({name: one.check(index, set(writes)) for name, one in voters.items()})
        _describe(report, writes)
        _judge(report, journals, checks)
        report.duration.FromMilliseconds(round((asyncio.get_running_loop().time() - began_s) * 1000))
        return report


async def _all_answers(questions: Mapping[str, Coroutine[Any, Any, Any]]) -> dict[str, Any]:
    """What each voter answered, or the WeftmeshError that it is."""
    answers = await asyncio.gather(*questions.values(), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, WeftmeshError | OSError):
            raise answer
    return dict(zip(questions, answers, strict=True))


def _describe(report: audit_pb2.AuditReport, writes: set[bytes]) -> None:
    report.writes = len(writes)
    if writes:
        report.first_revision = _revision(min(writes))
        report.last_revision = _revision(max(writes))


def _judge(report: audit_pb2.AuditReport, journals: Mapping[str, Any], checks: Mapping[str, Any]) -> None:
    answers = {name: one for name, one in checks.items() if isinstance(one, audit_pb2.CheckHistoryResponse)}
    usual = _usual_hash([one.state_hash for one in answers.values()])
    for name, answer in checks.items():
        voter = report.voters.add(node=name)
        if isinstance(journals[name], BaseException) or name not in answers:
            voter.failure = str(journals[name] if isinstance(journals[name], BaseException) else answer)
        if name in answers:
            voter.missing = answer.missing
            voter.missing_writes.extend(_shown(one) for one in unpacked(answer.missing_writes))
            voter.state_hash = answer.state_hash
            voter.state_differs = bool(answer.state_hash) and answer.state_hash != usual
            voter.state_damaged = answer.claimed_hash != answer.actual_hash
    report.passed = bool(report.voters) and all(_passed(voter) for voter in report.voters)


def _passed(voter: audit_pb2.VoterAudit) -> bool:
    return not (voter.failure or voter.missing or voter.state_differs or voter.state_damaged)


def _usual_hash(hashes: list[str]) -> str:
    """What more voters have than anything else; nobody is right where two are equally usual."""
    ranked = Counter(one for one in hashes if one).most_common(2)
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return ""
    return ranked[0][0]


def _revision(write: bytes) -> int:
    return int.from_bytes(write[:REVISION_BYTES], "big")


def _shown(write: bytes) -> str:
    return f"{write[REVISION_BYTES:].hex()} at {_revision(write)}"


def seconds_until_audit(now: datetime, chance: float) -> float:
    """How long to wait for a moment of the coming night; `chance`, 0 to 1, says which."""
    begins = now.replace(hour=NIGHT_BEGINS_HOUR, minute=0, second=0, microsecond=0)
    if begins <= now:
        begins += timedelta(days=1)
    return (begins - now).total_seconds() + chance * NIGHT_LASTS_S
