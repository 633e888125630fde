"""Tasks on their way out that have to be seen twice: in a temporary file, so that a large board takes no memory."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import IO, Final

from weftmesh.board.v1 import board_pb2

_MEMORY_BYTES: Final = 8 * 1024 * 1024
_LENGTH_BYTES: Final = 4


class TaskSpool:
    """Holds tasks in the order they came."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    async def fill(self, tasks: AsyncIterator[board_pb2.Task]) -> AsyncIterator[board_pb2.Task]:
        """Keep every task, and show it on its way in."""
        async for task in tasks:
            row = task.SerializeToString()
            self._file.write(len(row).to_bytes(_LENGTH_BYTES) + row)
            yield task

    def __iter__(self) -> Iterator[board_pb2.Task]:
        self._file.seek(0)
        while length := self._file.read(_LENGTH_BYTES):
            yield board_pb2.Task.FromString(self._file.read(int.from_bytes(length)))


@contextmanager
def task_spool() -> Iterator[TaskSpool]:
    """An empty spool, gone afterwards."""
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as file:
        yield TaskSpool(file)
