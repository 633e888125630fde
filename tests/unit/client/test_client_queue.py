"""The queue of a node through the client library."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.board_server import board_server

from weftmesh.board.v1 import board_pb2
from weftmesh.client import connect
from weftmesh.core.errors import InvalidInputError, NotFoundError


async def test_a_write_is_queued_once_however_often_it_is_sent(tmp_path: Path) -> None:
    async with board_server(tmp_path / "api.sock") as server, connect(str(server.socket)) as client:
        create = board_pb2.CreateTaskRequest(parent="projects/PROJ", task=board_pb2.Task(title="waits"))
        first = await client.board.queue_write(create)
        again = await client.board.queue_write(first.write)
        listed = await client.board.list_queued_writes(board_pb2.ListQueuedWritesRequest())

        assert first.write.create_task.request_id
        assert first.write.create_task.task_id
        assert create.request_id == ""
        assert again == first
        assert list(listed.writes) == [first]


async def test_a_queued_write_is_discarded(tmp_path: Path) -> None:
    async with board_server(tmp_path / "api.sock") as server, connect(str(server.socket)) as client:
        create = board_pb2.CreateTaskRequest(parent="projects/PROJ", task=board_pb2.Task(title="waits"))
        queued = await client.board.queue_write(create)
        request = board_pb2.DiscardQueuedWriteRequest(name=queued.name)
        assert await client.board.discard_queued_write(request) == queued
        with pytest.raises(NotFoundError):
            await client.board.discard_queued_write(request)
        with pytest.raises(NotFoundError):
            await client.board.retry_queued_write(board_pb2.RetryQueuedWriteRequest(name=queued.name))


async def test_a_batch_is_not_one_write(tmp_path: Path) -> None:
    async with board_server(tmp_path / "api.sock") as server, connect(str(server.socket)) as client:
        with pytest.raises(InvalidInputError):
            await client.board.queue_write(board_pb2.WriteRequest(batch=board_pb2.WriteBatch()))
