"""Calls that send snapshots over a network of single messages: one chunk or one answer on its way at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from weftmesh.core.errors import NotFoundError
from weftmesh.mesh.v1 import raft_pb2


@dataclass(frozen=True)
class SnapshotMessage:
    """A chunk on its way to the receiver, or back with the answer to it."""

    call: int
    chunk: raft_pb2.SnapshotChunk
    answer: raft_pb2.InstallSnapshotResponse | None = None

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - as messages have it
        """The kind, for those that treat messages by kind."""
        return "snapshot_chunk" if self.answer is None else "snapshot_answer"


@dataclass
class _Call:
    number: int
    read: Callable[[int], bytes]
    last: raft_pb2.SnapshotChunk


class SnapshotCalls:
    """Both halves of a node's calls. As in production there is one to each peer, and it ends when it breaks.

    Args:
        first: numbers the calls; different in every life of a node.
        send: puts a message on its way to a peer; False when that is impossible.
        take: answers a chunk.
        over: called when a call is over.
    """

    def __init__(
        self,
        first: int,
        send: Callable[[str, SnapshotMessage], bool],
        take: Callable[[str, raft_pb2.SnapshotChunk], raft_pb2.InstallSnapshotResponse | None],
        over: Callable[[str, raft_pb2.InstallSnapshotResponse | None], None],
    ) -> None:
        self._made = first
        self._send, self._take, self._over = send, take, over
        self._calls: dict[str, _Call] = {}

    def begin(self, peer: str, offer: raft_pb2.SnapshotChunk, read: Callable[[int], bytes]) -> int:
        """As `Transport.send_snapshot`; returns the number of the call, 0 when it cannot begin."""
        if peer in self._calls or not self._send(peer, SnapshotMessage(self._made + 1, offer)):
            return 0
        self._made += 1
        self._calls[peer] = _Call(self._made, read, offer)
        return self._made

    def sent_to(self, peer: str) -> int | None:
        """The offset of the last chunk that was sent in the call to a peer; None without one."""
        call = self._calls.get(peer)
        return None if call is None else call.last.offset

    def end(self, peer: str, number: int | None = None) -> None:
        """The call to a peer breaks, if it is still this one."""
        call = self._calls.get(peer)
        if call is not None and number in (None, call.number):
            self._finish(peer, None)

    def receive(self, sender: str, message: SnapshotMessage) -> None:
        """A message arrived, perhaps late or a second time."""
        if message.answer is not None:
            self._continue(sender, message, message.answer)
            return
        answer = self._take(sender, message.chunk)
        if answer is not None:
            self._send(sender, replace(message, answer=answer))

    def _continue(self, peer: str, message: SnapshotMessage, answer: raft_pb2.InstallSnapshotResponse) -> None:
        call = self._calls.get(peer)
        if call is None or (message.call, message.chunk) != (call.number, call.last):
            return
        offset, end = answer.next_offset, call.last.offset + len(call.last.data)
        if offset >= call.last.size_bytes or (call.last.data and offset != end):
            self._finish(peer, answer)
            return
        chunk = raft_pb2.SnapshotChunk()
        chunk.CopyFrom(call.last)
        try:
            chunk.offset, chunk.data = offset, call.read(offset)
        except NotFoundError:
            self._finish(peer, None)
            return
        call.last = chunk
        self._send(peer, SnapshotMessage(call.number, chunk))

    def _finish(self, peer: str, answer: raft_pb2.InstallSnapshotResponse | None) -> None:
        del self._calls[peer]
        self._over(peer, answer)
