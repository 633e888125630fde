"""A node that takes windows, or fails as it is told: all is real but the gRPC and the log, which is of one process."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from tests.fakes.certificates import CLUSTER, CertificateAuthority
from tests.unit.agent.learning.bench import call, identity_of, mesh_home

from weftmesh.agent.board.machine_log import MachineLog
from weftmesh.agent.ola.changing import Changes
from weftmesh.agent.ola.replica import Replica
from weftmesh.agent.ola.signing import WindowSigner
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.ola.model import Agreement
from weftmesh.core.ola.replicated.outcomes import OlaOutcome
from weftmesh.core.ola.replicated.reading import Reading
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.runtime.wire.ola_agreements import agreement_message

T = TypeVar("T")


class RecordingNode:
    """Implements `windows.Records`.

    Args:
        now_ms: its wall clock.

    Attributes:
        fail_before: errors for the next calls, which change nothing.
        fail_after: errors for the next calls that get through: they take effect, and nobody hears of it.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.fail_before: deque[WeftmeshError] = deque()
        self.fail_after: deque[WeftmeshError] = deque()
        home, self.engine = mesh_home()
        self.replica = Replica(home)
        signer = WindowSigner(identity_of(CertificateAuthority().node("n1")), CLUSTER, self.replica)
        log = MachineLog(self.engine, "ola", OlaOutcome)
        self._changes = Changes("n1", self.replica, log, HybridClock(), signer, now_ms)

    @property
    def read(self) -> Reading:
        return self.replica.agreements.read

    async def apply(self, agreement: Agreement, seen: int = 0) -> None:
        news = [command_pb2.NewGeneration(agreement=agreement_message(agreement), seen=seen)]
        change = command_pb2.ApplyAgreements(agreements=news)
        await self._changes.change(ola_pb2.ChangeAgreementsRequest(apply_agreements=change), call())

    async def record_window(
        self, starts_s: int, counts: Iterable[command_pb2.ObjectiveCount], *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        request = ola_pb2.RecordWindowRequest(starts_s=starts_s, counts=counts)
        return await self._call(lambda: self._changes.record(request, call(timeout_s or 5.0)))

    async def confirm_window(
        self, starts_s: int, agreements: Iterable[command_pb2.ConfirmedAgreement], *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        request = ola_pb2.ConfirmWindowRequest(starts_s=starts_s, agreements=agreements)
        return await self._call(lambda: self._changes.confirm(request, call(timeout_s or 5.0)))

    async def _call(self, made: Callable[[], Awaitable[T]]) -> T:
        if self.fail_before:
            raise self.fail_before.popleft()
        answer = await made()
        if self.fail_after:
            raise self.fail_after.popleft()
        return answer
