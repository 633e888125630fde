"""Typed writes: a lone one is a call of its own, concurrent ones share the stream unnoticed."""

from __future__ import annotations

from typing import Any

from weftmesh.board.v1 import board_pb2
from weftmesh.client.calls import Calls
from weftmesh.client.limits import CALL_TIMEOUT_S
from weftmesh.client.requests import Write, as_write
from weftmesh.client.stream import WriteStream


class CoalescingWrites:
    """Carries typed writes and returns what each left behind, whichever way it went.

    A unary call costs a Python client and its node about a millisecond of work; on the stream a write costs a tenth of
    that as soon as several leave in one message.
    """

    def __init__(self, calls: Calls, stream: WriteStream) -> None:
        self._calls = calls
        self._stream = stream
        self._under_way = 0

    async def carry(self, method: Any, request: Write, timeout_s: float | None) -> Any:
        """The task or project as the write left it.

        Args:
            method: the unary call of this write.
            request: copied, and given a request id if it has none.
            timeout_s: retries included; None for `limits.CALL_TIMEOUT_S`.

        Raises:
            WeftmeshError: the same either way.
        """
        self._under_way += 1
        try:
            if self._under_way == 1 or request.validate_only:
                return await self._calls.write(method, request, timeout_s)
            return await self._share(request, CALL_TIMEOUT_S if timeout_s is None else timeout_s)
        finally:
            self._under_way -= 1

    async def _share(self, request: Write, timeout_s: float) -> Any:
        entry = as_write(request)
        entry.return_resource = True
        answer = await self._stream.submit(entry, timeout_s)
        applied: board_pb2.WriteApplied = await answer
        return applied.project if applied.WhichOneof("resource") == "project" else applied.task
