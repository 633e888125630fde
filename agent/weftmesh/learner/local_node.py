"""`node.Node` over the local socket: calls of the worker thread, carried out on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError

from weftmesh.board.v1 import board_pb2
from weftmesh.client import Client
from weftmesh.core.aggregation.messages import UnmaskIntent
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.forecast.cycle_time import TaskTimes
from weftmesh.core.forecast.finish_features import BoardTask
from weftmesh.core.forecast.imported_times import CREATED, imported_s
from weftmesh.core.forecast.text import TaskText
from weftmesh.core.learning.model import NoisePolicy, RoundKind
from weftmesh.core.learning.sum_names import sum_name
from weftmesh.learner.node import JobView, LabelledTask
from weftmesh.learning.v1 import learning_pb2, row_pb2
from weftmesh.runtime.round_settings import LABELS_MIN
from weftmesh.runtime.wire.learning_records import read

LABELLED: Final = "status=done has:estimate"
_T = TypeVar("_T")


class LocalNode:
    """The node at the other end of a client. Used on the worker thread, never on that of `loop`.

    Args:
        name: of the node.
        client: whose calls are made on `loop`.
        loop: the event loop.
    """

    def __init__(self, name: str, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._name = name
        self._client = client
        self._loop = loop

    def job(self, name: str, base_version: int, round_id: bytes = b"", wait_s: float = 0.0) -> JobView:
        """See `Node`."""
        request = learning_pb2.GetLearningRequest(
            job=name, base_version=base_version, round_id=round_id, wait_ms=round(wait_s * 1_000)
        )
        found = self._wait(self._client.learning.get_learning(request))
        return view_of(found, name, self._name)

    def sign(self, statement: bytes) -> bytes:
        """See `Node`."""
        return self._wait(self._client.learning.sign_statement(statement))

    def verify(self, statements: Sequence[SignedStatement]) -> Sequence[bool]:
        """See `Node`."""
        return self._wait(self._client.learning.check_statements(statements))

    def shown_intent(
        self, job: str, kind: RoundKind, round_id: bytes, base_version: int, timeout_s: float
    ) -> UnmaskIntent | None:
        """See `Node`."""
        request = learning_pb2.AwaitIntentRequest(
            job=job,
            round_id=round_id,
            base_version=base_version,
            round_kind=int(kind),
            timeout_ms=round(timeout_s * 1_000),
        )
        answer = self._wait(self._client.learning.await_intent(request))
        return intent_of(answer.intent) if answer.HasField("intent") else None

    def labelled_tasks(self, project_id: str) -> Sequence[LabelledTask]:
        """See `Node`."""
        return self._wait(self._labelled(project_id))

    def cycle_times(self, project_id: str, as_of_s: float) -> Sequence[BoardTask]:
        """See `Node`."""
        return [_board_task(one) for one in self._wait(self._client.learning.list_cycle_times(project_id, as_of_s))]

    async def _labelled(self, project_id: str) -> list[LabelledTask]:
        listing = self._client.list_tasks(f"projects/{project_id}", filter=LABELLED)
        return [_labelled(task) async for task in listing]

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def view_of(learning: learning_pb2.Learning, job: str, node: str) -> JobView:
    """One job of what a node's replica says."""
    row = next((one for one in learning.jobs if one.name == job), None)
    if row is None:
        return JobView(learning.term)
    spec = _spec_of(row)
    return JobView(
        term=learning.term,
        head=spec.head,
        enabled=row.enabled,
        opted_out=any(one.node == node and one.job in ("", job) for one in learning.opt_outs),
        projects=tuple(learning.trained_projects),
        versions={one.number: one.sha256 for one in learning.versions if one.job == job},
        intents=tuple(intent_of(one) for one in learning.intents if one.job == job),
        labels_min=spec.labels_min or LABELS_MIN,
        noise=read(NoisePolicy, row.noise) if row.HasField("noise") else None,
        round_id=row.round_id,
        as_of_s=next((one.as_of_s for one in learning.rounds if one.id == row.round_id), 0),
    )


def intent_of(row: row_pb2.UnmaskIntent) -> UnmaskIntent:
    """An intent of the replicated state, as secure aggregation knows it."""
    return UnmaskIntent(
        job=sum_name(row.job, RoundKind(row.kind)),
        base_version=row.base_version,
        round_id=row.round_id,
        roster_hash=row.roster_sha256,
        active=tuple(row.active),
        dead=tuple(row.dead),
        term=row.coordinator.term,
    )


def _spec_of(row: row_pb2.Job) -> learning_pb2.JobSpec:
    try:
        return learning_pb2.JobSpec.FromString(row.spec)
    except DecodeError:
        return learning_pb2.JobSpec()  # of a newer release; no round's settings have an empty head


def _labelled(task: board_pb2.Task) -> LabelledTask:
    imported = imported_s(task.custom.get(CREATED))
    return LabelledTask(
        name=task.name,
        version=task.version,
        created_s=task.create_time.ToNanoseconds() / 1e9 if imported is None else imported,
        updated_s=task.update_time.ToNanoseconds() / 1e9,
        effort=task.estimate,
        text=TaskText(task.title, task.description),
    )


def _board_task(row: learning_pb2.CycleTime) -> BoardTask:
    resolved_s = row.resolved_s if row.HasField("resolved_s") else None
    return BoardTask(TaskTimes(row.created_s, resolved_s), row.kind, row.title_characters, row.description_characters)
