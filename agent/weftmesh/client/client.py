"""The client of one node: calls, the write stream, watches and listings over one channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.client.access import AccessApi, AuditLogApi
from weftmesh.client.audit import AuditApi
from weftmesh.client.backup.api import BackupApi
from weftmesh.client.board import BoardApi
from weftmesh.client.calls import Calls
from weftmesh.client.errors import unreachable
from weftmesh.client.learning import LearningApi
from weftmesh.client.limits import CALL_TIMEOUT_S, CONNECT_TIMEOUT_S, PAGE_SIZE, WATCH_PROGRESS_S
from weftmesh.client.mesh import MeshApi
from weftmesh.client.ola import OlaApi
from weftmesh.client.privacy import PrivacyApi
from weftmesh.client.recovery import RecoveryApi
from weftmesh.client.requests import Write, as_write
from weftmesh.client.stream import Answer, WriteStream
from weftmesh.client.target import Identity, default_target, open_channel, somebody_listens
from weftmesh.client.trust import TrustApi
from weftmesh.client.upgrade import UpgradeApi
from weftmesh.client.watching import WatchCursor, watch
from weftmesh.core.errors import WeftmeshError


class Client:
    """A client of one node. Made by `connect`; safe to share between the tasks of one event loop.

    Attributes:
        board: the board's calls with one answer.
        mesh: the mesh's calls.
        trust: certificates: who shows which, revocations, the authority's rotation.
        upgrade: which member runs what.
        backup: the stream of a backup's parts.
        audit: audits of the mesh.
        recovery: the way out when a majority is gone for good.
        privacy: what leaves this node.
        learning: rounds, models and forecasts.
        access: roles.
        audit_log: who did what on this node.
        ola: agreements, what was counted of them, and overrides.
        target: the node's address.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str) -> None:
        calls = Calls(channel, target)
        stub = board_pb2_grpc.BoardServiceStub(channel)
        self.target = target
        self._stream = WriteStream(stub.Write, target)
        self.board = BoardApi(calls, self._stream)
        self.mesh = MeshApi(calls)
        self.trust = TrustApi(calls)
        self.upgrade = UpgradeApi(calls)
        self.backup = BackupApi(calls)
        self.audit = AuditApi(calls)
        self.recovery = RecoveryApi(calls)
        self.privacy = PrivacyApi(calls)
        self.learning = LearningApi(calls)
        self.ola = OlaApi(calls)
        self.access = AccessApi(calls)
        self.audit_log = AuditLogApi(calls)
        self._open_watch: Any = stub.Watch

    async def write(
        self, request: Write | board_pb2.WriteRequest, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> board_pb2.WriteApplied:
        """Write once, over the stream that all writes of this client share; the fastest way for many at a time.

        Args:
            request: any request that changes the board; it is copied, and given a request id if it has none.
            timeout_s: retries included.

        Raises:
            WeftmeshError: the same errors as the unary call.
        """
        answer = await self._stream.submit(as_write(request), timeout_s)
        return await answer

    async def write_many(
        self, requests: Iterable[Write | board_pb2.WriteRequest], *, timeout_s: float = CALL_TIMEOUT_S
    ) -> list[board_pb2.WriteApplied | WeftmeshError]:
        """Write all of `requests`; the answer to each, in their order, where an error is an answer too.

        Args:
            requests: as for `write`. The order they are applied in is not fixed: do not make a task and change it in
                one call.
            timeout_s: for each, from when it is queued.
        """
        entries = [as_write(request) for request in requests]
        waiting: list[Answer | WeftmeshError] = []
        try:
            for entry in entries:
                try:
                    waiting.append(await self._stream.submit(entry, timeout_s))
                except WeftmeshError as error:
                    waiting.append(error)
            return [item if isinstance(item, WeftmeshError) else await _settled(item) for item in waiting]
        finally:
            for item in waiting:
                if isinstance(item, asyncio.Future):
                    item.cancel()

    def watch(
        self,
        parent: str,
        resume_revision: int = 0,
        send_initial_state: bool = False,
        *,
        progress_s: float = WATCH_PROGRESS_S,
    ) -> AsyncGenerator[board_pb2.WatchEvent, None]:
        """Events of `parent`, for ever; a lost connection is made again without a gap or a duplicate.

        Args:
            parent: projects/{project}, or projects/- for every replicated project.
            resume_revision: events after this one; 0 means from now on.
            send_initial_state: what is there comes first, as events of kind INITIAL, closed by a Progress. A Resync
                means: forget what you know, a new listing follows.
            progress_s: the longest silence.
        """
        return self._watch(parent, resume_revision, send_initial_state, progress_s)

    async def _watch(
        self, parent: str, resume_revision: int, send_initial_state: bool, progress_s: float
    ) -> AsyncGenerator[board_pb2.WatchEvent, None]:
        if not resume_revision and not send_initial_state:
            # "Now" is settled here, so that a connection lost before the first event loses none.
            now = await self.board.list_tasks(board_pb2.ListTasksRequest(parent=parent, page_size=1))
            resume_revision = now.freshness.revision
        cursor = WatchCursor(resume_revision, listing=send_initial_state)
        async with aclosing(watch(self._open_watch, self.target, parent, cursor, progress_s)) as events:
            async for event in events:
                yield event

    async def list_tasks(
        self,
        parent: str,
        *,
        filter: str = "",
        show_deleted: bool = False,
        at_revision: int = 0,
        consistency: board_pb2.ReadConsistency = board_pb2.READ_CONSISTENCY_LOCAL,
        page_size: int = PAGE_SIZE,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> AsyncIterator[board_pb2.Task]:
        """Every task of `parent`, in the order they were made, all from one revision.

        Args:
            parent: projects/{project}, or projects/-.
            filter: see ListTasksRequest.
            show_deleted: deleted ones too.
            at_revision: the board as it was then; 0 for now.
            consistency: how fresh the first page must be; the others show the same revision.
            page_size: tasks a call.
            timeout_s: for each page.
        """
        request = board_pb2.ListTasksRequest(
            parent=parent,
            filter=filter,
            show_deleted=show_deleted,
            at_revision=at_revision,
            consistency=consistency,
            page_size=page_size,
        )
        while True:
            page = await self.board.list_tasks(request, timeout_s=timeout_s)
            for task in page.tasks:
                yield task
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def close(self) -> None:
        """Close the write stream; its unanswered writes fail."""
        await self._stream.close()


@asynccontextmanager
async def connect(
    target: str | None = None,
    *,
    identity: Identity | None = None,
    timeout_s: float = CONNECT_TIMEOUT_S,
    wait: bool = False,
) -> AsyncIterator[Client]:
    """A client of the node at `target`, proven to be reachable.

    Args:
        target: a socket's path, `unix:PATH`, or `host:port` of a mesh port; None for `target.default_target`.
        identity: needed for a mesh port.
        timeout_s: how long connecting may take.
        wait: keep trying for `timeout_s` where nobody listens yet.

    Raises:
        NodeUnreachableError: nobody answers there.
        ForbiddenError: this user may not open the local socket.
        ConfigError: the default target or the identity cannot be read.
    """
    address = target if target is not None else default_target()
    async with open_channel(address, identity) as channel:
        await _connected(channel, address, timeout_s, wait)
        client = Client(channel, address)
        try:
            yield client
        finally:
            await client.close()


async def _connected(channel: grpc.aio.Channel, target: str, timeout_s: float, wait: bool) -> None:
    """Return once the channel is up.

    Raises:
        NodeUnreachableError: it was refused, or the time is up.
        ForbiddenError: this user may not open the local socket.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                # A node under load may drop a connection that it could not take in time; one that is gone refuses it.
                failed = state is grpc.ChannelConnectivity.TRANSIENT_FAILURE
                if failed and not wait and not somebody_listens(target):
                    raise unreachable(target, "connection refused")
                await channel.wait_for_state_change(state)
    except TimeoutError:
        raise unreachable(target, f"not connected in {timeout_s:g} s") from None


async def _settled(answer: Answer) -> board_pb2.WriteApplied | WeftmeshError:
    try:
        return await answer
    except WeftmeshError as error:
        return error
