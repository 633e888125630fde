"""A node that lets a learner attend and says what a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.learning.v1.learning_pb2 import AgentMessage


class ScriptedNode(learning_pb2_grpc.LearningServiceServicer):  # type: ignore[misc]
    """Implements Attend: sends what `say` is given, and keeps what it is told.

    Attributes:
        calls: how many learners came.
        breaks: so many calls are broken off before the learner is admitted.
        admitted: set once a learner is.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.breaks = 0
        self.admitted = asyncio.Event()
        self.answers: asyncio.Queue[learning_pb2.LearnerAnswer] = asyncio.Queue()
        self._script: asyncio.Queue[AgentMessage | None] = asyncio.Queue()
        self._sequence = 0

    async def Attend(self, messages: Any, context: Any) -> AsyncIterator[AgentMessage]:  # noqa: N802
        self.calls += 1
        first = await anext(aiter(messages))
        assert first.HasField("ready")
        if self.breaks:
            self.breaks -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the node goes down")
        reader = asyncio.create_task(self._read(messages))
        try:
            self.admitted.set()
            yield AgentMessage(admitted=learning_pb2.Admitted(node="node1", cluster="dev", term=3))
            while (message := await self._script.get()) is not None:
                yield message
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the node goes down")
        finally:
            reader.cancel()

    async def _read(self, messages: Any) -> None:
        async for message in messages:
            self.answers.put_nowait(message.answer)

    def ask(self, payload: bytes, timeout_s: float = 10.0, sequence: int = 0) -> int:
        """Put a question; its sequence number."""
        self._sequence = sequence or self._sequence + 1
        question = learning_pb2.LearnerQuestion(
            sequence=self._sequence, job="effort", payload=payload, timeout_ms=round(timeout_s * 1_000)
        )
        self._script.put_nowait(AgentMessage(question=question))
        return self._sequence

    def dismiss(self) -> None:
        self._script.put_nowait(AgentMessage(dismissed=learning_pb2.Dismissed(why="nobody asks")))

    def break_off(self) -> None:
        self._script.put_nowait(None)

    async def answer(self) -> learning_pb2.LearnerAnswer:
        async with asyncio.timeout(10):
            return await self.answers.get()


@asynccontextmanager
async def serving(directory: Path, node: ScriptedNode) -> AsyncIterator[str]:
    """The path of a local socket on which `node` answers while the block runs."""
    server = grpc.aio.server()
    learning_pb2_grpc.add_LearningServiceServicer_to_server(node, server)
    server.add_insecure_port(f"unix:{directory}/api.sock")
    await server.start()
    try:
        yield f"{directory}/api.sock"
    finally:
        await server.stop(None)
