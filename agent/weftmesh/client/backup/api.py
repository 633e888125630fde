"""`weftmesh.mesh.v1.BackupService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from weftmesh.client.calls import Calls
from weftmesh.client.errors import from_call_error
from weftmesh.mesh.v1 import backup_pb2, backup_pb2_grpc


class BackupApi:
    """The stream of a backup's parts; `taking.take_backup` makes a file of it."""

    def __init__(self, calls: Calls) -> None:
        self._target = calls.target
        self._take: Any = backup_pb2_grpc.BackupServiceStub(calls.channel).TakeBackup

    async def take(
        self, request: backup_pb2.TakeBackupRequest, *, timeout_s: float
    ) -> AsyncIterator[backup_pb2.BackupPart]:
        """Every part as it comes; nothing is asked twice, for the node may have moved on.

        Args:
            request: what to back up.
            timeout_s: for the whole.
        """
        try:
            async for part in self._take(request, timeout=timeout_s):
                yield part
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self._target) from error
