"""The calls of BoardService that are about the queue."""

from __future__ import annotations

from typing import Any

import grpc

from weftmesh.agent.access.supervision import Supervision
from weftmesh.agent.offline.service import OfflineWrites
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.serving.requests import begin_call
from weftmesh.board.v1 import board_pb2

Context = grpc.aio.ServicerContext[Any, Any]


class QueuedWritesCalls:
    """A part of the BoardService's servicer; the protos document each method."""

    _offline: OfflineWrites
    _callers: Callers
    _supervision: Supervision

    async def QueueWrite(self, request: board_pb2.WriteRequest, context: Context) -> board_pb2.QueuedWrite:  # noqa: N802
        """See board.proto."""
        return await self._offline.put(request, begin_call(self._callers, context))

    async def ListQueuedWrites(  # noqa: N802
        self, request: board_pb2.ListQueuedWritesRequest, context: Context
    ) -> board_pb2.ListQueuedWritesResponse:
        """See board.proto."""
        sight = self._supervision.sight(context)
        return self._offline.list(request, sight.sees)

    async def RetryQueuedWrite(  # noqa: N802
        self, request: board_pb2.RetryQueuedWriteRequest, context: Context
    ) -> board_pb2.QueuedWrite:
        """See board.proto."""
        return await self._offline.retry(request, self._callers.local(context))

    async def DiscardQueuedWrite(  # noqa: N802
        self, request: board_pb2.DiscardQueuedWriteRequest, context: Context
    ) -> board_pb2.QueuedWrite:
        """See board.proto."""
        return await self._offline.discard(request, self._callers.local(context))
