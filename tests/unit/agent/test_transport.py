from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn, cast

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs
from tests.fakes.certificates import CertificateAuthority, NodeCertificate

from weftmesh.agent.raft.peers.receiving import SERVER_OPTIONS, ExchangeContext, RaftServicer, peer_name
from weftmesh.agent.raft.peers.stream import (
    BATCH_BYTES_MAX,
    CHANNEL_OPTIONS,
    EXCHANGE,
    HELLO,
    QUEUE_BYTES_MAX,
    QUEUE_MESSAGES_MAX,
)
from weftmesh.agent.raft.peers.transport import GrpcTransport
from weftmesh.agent.raft.ports import Transport
from weftmesh.agent.raft.snapshots.stream import INSTALL, SnapshotCall
from weftmesh.core.errors import ForbiddenError, UnauthenticatedError
from weftmesh.mesh.v1 import raft_pb2, raft_pb2_grpc

WAIT_S = 10.0
CA = CertificateAuthority()


def vote(term: int) -> raft_pb2.RaftMessage:
    return raft_pb2.RaftMessage(term=term, vote_response=raft_pb2.VoteResponse())


def large(term: int, size_bytes: int) -> raft_pb2.RaftMessage:
    entry = raft_pb2.LogEntry(payload=bytes(size_bytes))
    return raft_pb2.RaftMessage(term=term, append_entries=raft_pb2.AppendEntries(entries=[entry]))


@dataclass
class Recorder:
    """What a core would have been told."""

    log: list[str] = field(default_factory=list)
    terms: list[int] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def on_messages(self, peer: str, messages: Sequence[raft_pb2.RaftMessage]) -> None:
        self.terms += [message.term for message in messages]
        self.batches.append(len(messages))

    def on_snapshot_chunk(self, peer: str, chunk: raft_pb2.SnapshotChunk) -> raft_pb2.InstallSnapshotResponse | None:
        return None

    def on_snapshot_sent(self, peer: str, answer: raft_pb2.InstallSnapshotResponse | None) -> None:
        self.log.append(f"{peer} answered {answer}")

    def on_connected(self, peer: str) -> None:
        self.log.append(f"+{peer}")

    def on_disconnected(self, peer: str) -> None:
        self.log.append(f"-{peer}")


@dataclass
class Node:
    """One end of a real connection on loopback."""

    name: str
    certificate: NodeCertificate
    members: set[str]
    events: Recorder = field(default_factory=Recorder)
    address: str = "127.0.0.1:0"
    dials: int = 0

    def __post_init__(self) -> None:
        self.servicer = RaftServicer("test", self.may_speak, self.name)
        self.transport = GrpcTransport(self.servicer, self.dial)

    def may_speak(self, name: str, certificate_pem: bytes) -> bool:
        return name in self.members and certificate_pem.startswith(b"-----BEGIN CERTIFICATE")

    def dial(self, name: str, address: str) -> grpc.aio.Channel:
        self.dials += 1
        return self.certificate.dial(name, address, CHANNEL_OPTIONS)

    async def listen(self) -> None:
        self.server = grpc.aio.server(options=SERVER_OPTIONS)
        raft_pb2_grpc.add_RaftServiceServicer_to_server(self.servicer, self.server)
        port = self.server.add_secure_port(self.address, self.certificate.server_credentials())
        self.address = f"127.0.0.1:{port}"
        await self.server.start()

    async def start(self) -> None:
        await self.listen()
        await self.transport.start(self.events)

    async def stop(self) -> None:
        await self.transport.stop()
        await self.server.stop(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the conditions are of many kinds
            await asyncio.sleep(0.005)


@asynccontextmanager
async def nodes(*given: Node) -> AsyncIterator[None]:
    for node in given:
        await node.start()
    try:
        yield
    finally:
        for node in given:
            await node.stop()


def pair() -> tuple[Node, Node]:
    return Node("a", CA.node("a"), {"b"}), Node("b", CA.node("b"), {"a"})


async def connect(a: Node, b: Node) -> None:
    """Wait for the event too: it comes one turn of the loop after the state."""
    a.transport.set_peers({b.name: b.address})
    await until(lambda: a.transport.connected(b.name) and f"+{b.name}" in a.events.log)


async def test_messages_arrive_in_order_and_leave_together() -> None:
    a, b = pair()
    transport: Transport = a.transport
    async with nodes(a, b):
        assert not transport.send("b", vote(1))
        await connect(a, b)
        for term in range(500):
            assert transport.send("b", vote(term))
        await until(lambda: len(b.events.terms) == 500)
        assert b.events.terms == list(range(500))
        assert b.events.batches == [500]
        assert a.events.log == ["+b"]


async def test_what_is_queued_while_a_write_is_under_way_leaves_as_one_batch() -> None:
    a, b = pair()
    async with nodes(a, b):
        await connect(a, b)
        a.transport.send("b", large(0, 8 * 1024 * 1024))
        await asyncio.sleep(0)  # the write begins
        for term in range(1, 50):
            a.transport.send("b", vote(term))
        await until(lambda: len(b.events.terms) == 50)
        assert b.events.terms == list(range(50))
        assert b.events.batches == [1, 49]


async def test_a_large_batch_is_split_and_a_larger_message_is_refused() -> None:
    a, b = pair()
    async with nodes(a, b):
        await connect(a, b)
        third = BATCH_BYTES_MAX * 3 // 8
        assert all(a.transport.send("b", large(term, third)) for term in range(5))
        assert not a.transport.send("b", large(9, BATCH_BYTES_MAX))
        await until(lambda: len(b.events.terms) == 5)
        assert b.events.batches == [2, 2, 1]
        assert a.transport.connected("b")


@pytest.mark.parametrize(
    ("message", "fitting"),
    [(vote(1), QUEUE_MESSAGES_MAX), (large(1, BATCH_BYTES_MAX - 100), QUEUE_BYTES_MAX // BATCH_BYTES_MAX)],
)
async def test_a_queue_that_overflows_is_a_disconnect(message: raft_pb2.RaftMessage, fitting: int) -> None:
    a, b = pair()
    async with nodes(a, b):
        await connect(a, b)
        assert all(a.transport.send("b", message) for _ in range(fitting))
        assert not a.transport.send("b", message)
        assert not a.transport.connected("b")
        assert a.events.log == ["+b"], "no event within send"
        await until(lambda: a.transport.connected("b"))
        await until(lambda: a.events.log == ["+b", "-b", "+b"])
        assert a.transport.send("b", vote(7))
        await until(lambda: b.events.terms == [7])


class Deaf(RaftServicer):
    """Admits whoever calls, and never reads."""

    async def Exchange(  # noqa: N802
        self, request_iterator: AsyncIterator[raft_pb2.RaftBatch], context: ExchangeContext
    ) -> None:
        await context.send_initial_metadata((HELLO,))
        await asyncio.Event().wait()


async def test_a_queue_that_overflows_during_a_write_is_a_disconnect_too() -> None:
    a, b = pair()
    b.servicer = Deaf("test", b.may_speak, "b")
    async with nodes(a, b):
        await connect(a, b)
        assert a.transport.send("b", large(1, BATCH_BYTES_MAX - 100))
        await asyncio.sleep(0.1)
        while a.transport.send("b", large(1, BATCH_BYTES_MAX - 100)):
            pass
        await until(lambda: a.events.log == ["+b", "-b", "+b"])


async def test_a_peer_that_comes_back_is_found_and_gets_nothing_old() -> None:
    a, b = pair()
    async with nodes(a, b):
        await connect(a, b)
        await b.server.stop(0)
        await until(lambda: a.events.log == ["+b", "-b"])
        assert not a.transport.send("b", vote(1))
        await b.listen()
        await until(lambda: a.transport.connected("b"))
        a.transport.send("b", vote(2))
        await until(lambda: b.events.terms == [2])
        assert a.events.log == ["+b", "-b", "+b"]


class Link:
    """A network between a caller and a peer, which keeps its connections and can lose what goes either way."""

    def __init__(self, peer: Node) -> None:
        self._peer = peer
        self.lost: set[str] = set()

    async def __aenter__(self) -> Link:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer_reader, peer_writer = await asyncio.open_connection(*self._peer.address.split(":"))
        async with asyncio.TaskGroup() as both_ways:
            both_ways.create_task(self._pump("there", reader, peer_writer))
            both_ways.create_task(self._pump("back", peer_reader, writer))

    async def _pump(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if way not in self.lost:
                writer.write(data)
        writer.close()


@pytest.mark.parametrize("talking", [True, False])
async def test_a_link_that_is_dead_one_way_or_both_is_noticed_and_comes_back(talking: bool) -> None:
    async def die(*ways: str) -> None:
        a, b = pair()
        async with nodes(a, b), Link(b) as link:
            a.transport.set_peers({"b": link.address})
            await until(lambda: a.events.log == ["+b"])
            link.lost.update(ways)
            while talking and a.transport.connected("b"):
                a.transport.send("b", vote(1))
                await asyncio.sleep(0.05)
            await until(lambda: a.events.log == ["+b", "-b"])
            link.lost.clear()
            await until(lambda: a.events.log == ["+b", "-b", "+b"])

    async with asyncio.TaskGroup() as all_ways:
        for ways in (("there",), ("back",), ("there", "back")):
            all_ways.create_task(die(*ways))


@pytest.mark.slow
async def test_an_idle_stream_stays_up() -> None:
    a, b = pair()
    async with nodes(a, b):
        await connect(a, b)
        await asyncio.sleep(15)
        assert a.events.log == ["+b"]


async def test_a_peer_that_calls_is_called_back_at_once() -> None:
    a, b = pair()
    a.transport = GrpcTransport(a.servicer, a.dial, backoff_min_s=60.0)
    async with nodes(a, b):
        await b.server.stop(0)
        a.transport.set_peers({"b": b.address})
        await until(lambda: a.dials == 1)
        await asyncio.sleep(0.2)
        await b.listen()
        await connect(b, a)
        await until(lambda: a.transport.connected("b"))


async def test_a_changed_address_connects_anew_and_a_removed_peer_is_dropped() -> None:
    a, b = pair()
    moved = Node("b", CA.node("b"), {"a"})
    async with nodes(a, b, moved):
        await connect(a, b)
        a.transport.set_peers({"b": b.address})
        assert a.transport.connected("b")
        a.transport.set_peers({"b": moved.address})
        assert not a.transport.connected("b")
        await until(lambda: a.transport.connected("b"))
        a.transport.send("b", vote(3))
        await until(lambda: moved.events.terms == [3])
        a.transport.set_peers({})
        assert not a.transport.send("b", vote(4))
        await until(lambda: a.events.log == ["+b", "-b", "+b", "-b"])
        assert b.events.terms == []


async def test_nothing_is_told_after_stop() -> None:
    a, b = pair()
    async with nodes(a, b):
        await connect(a, b)
        await connect(b, a)
        b.transport.send("a", vote(1))
        told = len(a.events.log)
        await a.transport.stop()
        await until(lambda: not b.transport.connected("a"))
        assert a.events.terms == []
        assert len(a.events.log) == told


ExchangeCall = grpc.aio.StreamStreamCall[bytes, bytes]


@asynccontextmanager
async def raw_stream(certificate: NodeCertificate, to: Node) -> AsyncIterator[ExchangeCall]:
    async with certificate.dial(to.name, to.address) as channel:
        yield channel.stream_stream(EXCHANGE)()


async def refusal(call: ExchangeCall | SnapshotCall) -> tuple[grpc.StatusCode, str]:
    async with asyncio.timeout(WAIT_S):
        return await call.code(), await call.details() or ""


def batch(*terms: int) -> bytes:
    return raft_pb2.RaftBatch(messages=[vote(term) for term in terms]).SerializeToString()


async def test_a_newer_stream_of_a_peer_silences_the_older_one() -> None:
    _, b = pair()
    async with nodes(b), raw_stream(CA.node("a"), b) as older:
        await older.initial_metadata()
        await older.write(batch(1))
        await until(lambda: b.events.terms == [1])
        async with raw_stream(CA.node("a"), b) as newer:
            await newer.initial_metadata()
            assert (await refusal(older))[0] is grpc.StatusCode.ABORTED
            await newer.write(batch(2))
            await until(lambda: b.events.terms == [1, 2])


class InProcessContext:
    """What the servicer uses of a call's context, without a network in between."""

    def auth_context(self) -> dict[str, list[bytes]]:
        certificate = CA.node("a").certificate_pem
        return {"peer_uri": [b"spiffe://test/node/a"], "x509_pem_cert": [certificate]}

    async def send_initial_metadata(self, metadata: Sequence[tuple[str, str]]) -> None:
        pass

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise asyncio.CancelledError


async def received(queue: asyncio.Queue[raft_pb2.RaftBatch]) -> AsyncIterator[raft_pb2.RaftBatch]:
    while True:
        yield await queue.get()


async def test_what_an_older_stream_received_before_the_newer_began_is_not_delivered_after() -> None:
    _, b = pair()
    b.servicer.attach(b.events.on_messages, b.events.on_snapshot_chunk, lambda _: None)
    queues: list[asyncio.Queue[raft_pb2.RaftBatch]] = [asyncio.Queue(), asyncio.Queue()]
    context = cast(ExchangeContext, InProcessContext())
    older = asyncio.ensure_future(b.servicer.Exchange(received(queues[0]), context))
    await asyncio.sleep(0.05)
    queues[0].put_nowait(raft_pb2.RaftBatch(messages=[vote(1)]))
    newer = asyncio.ensure_future(b.servicer.Exchange(received(queues[1]), context))
    queues[1].put_nowait(raft_pb2.RaftBatch(messages=[vote(2)]))
    await until(lambda: 2 in b.events.terms)
    assert b.events.terms == [2]
    newer.cancel()
    await asyncio.gather(older, newer, return_exceptions=True)


async def test_no_message_of_an_older_stream_follows_one_of_the_newer() -> None:
    _, b = pair()
    async with nodes(b), raw_stream(CA.node("a"), b) as older:
        await older.initial_metadata()
        for _ in range(50):
            await older.write(batch(1))
        async with raw_stream(CA.node("a"), b) as newer:
            await newer.initial_metadata()
            seen = len(b.events.terms)
            await newer.write(batch(2))
            await until(lambda: 2 in b.events.terms)
        assert b.events.terms == [1] * seen + [2]


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a\x05ab"])
async def test_a_malformed_batch_drops_the_stream_and_never_reaches_the_core(garbage: bytes) -> None:
    _, b = pair()
    async with nodes(b), raw_stream(CA.node("a"), b) as call:
        await call.initial_metadata()
        with capture_logs() as logs:
            await call.write(garbage)
            assert (await refusal(call))[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert [entry["peer"] for entry in logs if "malformed" in entry["event"]] == ["a"]
        assert b.events.batches == []


async def test_a_peer_that_sends_garbage_on_many_streams_is_one_line_in_the_log() -> None:
    _, b = pair()
    async with nodes(b):
        with capture_logs() as logs:
            for _ in range(5):
                async with raw_stream(CA.node("a"), b) as call:
                    await call.initial_metadata()
                    await call.write(b"\xff\xff\xff")
                    assert (await refusal(call))[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert len([entry for entry in logs if "malformed" in entry["event"]]) == 1


async def test_a_kind_of_a_later_version_is_skipped() -> None:
    _, b = pair()
    later = raft_pb2.RaftBatch(messages=[raft_pb2.RaftMessage(term=1), vote(2)])
    async with nodes(b), raw_stream(CA.node("a"), b) as call:
        await call.initial_metadata()
        await call.write(later.SerializeToString())
        await until(lambda: b.events.terms == [2])


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        (CA.node("c"), "node c refused: not a member"),
        (CA.node("b"), "own name"),
        (CA.node("a", cluster="other"), "belongs to cluster other"),
        (CA.node("a", uris=("spiffe://test/node/a/b",)), "names no node"),
        (CA.node("a", uris=("spiffe://test/node/a", "spiffe://test/node/b")), "names no node"),
    ],
)
async def test_who_is_no_member_is_refused_by_name(certificate: NodeCertificate, says: str) -> None:
    _, b = pair()
    async with nodes(b), raw_stream(certificate, b) as call:
        with capture_logs() as logs:
            code, details = await refusal(call)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert says in details
        assert any(says.split(": ")[-1] in str(entry.get("reason")) for entry in logs)


async def test_a_peer_that_keeps_calling_is_refused_each_time_and_written_about_once() -> None:
    _, b = pair()
    async with nodes(b):
        with capture_logs() as logs:
            for _ in range(3):
                async with raw_stream(CA.node("c"), b) as call:
                    assert (await refusal(call))[0] is grpc.StatusCode.PERMISSION_DENIED
        assert [entry["peer"] for entry in logs if "refused" in entry["event"]] == ["c"]


async def test_a_member_that_is_removed_is_cut_off() -> None:
    a, b = pair()
    async with nodes(a, b):
        await connect(a, b)
        b.members.clear()
        a.transport.send("b", vote(1))
        await until(lambda: "-b" in a.events.log)
        assert b.events.terms == []


WRONG = {
    "foreign CA": CertificateAuthority().node("b"),
    "expired": CA.node("b", valid_from=-dt.timedelta(days=9), valid_until=-dt.timedelta(days=1)),
    "not yet valid": CA.node("b", valid_from=dt.timedelta(days=1)),
    "another node": CA.node("c"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_server_with_a_wrong_certificate_is_not_connected_and_told_of_once(wrong: str) -> None:
    a, b = pair()
    b.certificate = WRONG[wrong]
    async with nodes(a, b):
        with capture_logs() as logs:
            a.transport.set_peers({"b": b.address})
            await until(lambda: a.dials >= 4)
        assert not a.transport.connected("b")
        assert a.events.log == []
        down = [entry for entry in logs if entry["event"] == "raft stream down"]
        assert [entry["peer"] for entry in down] == ["b"]
        assert "UNAVAILABLE" in down[0]["reason"]


@pytest.mark.parametrize("wrong", ["foreign CA", "expired", "not yet valid"])
async def test_a_caller_with_a_wrong_certificate_gets_no_stream(wrong: str) -> None:
    a, b = Node("a", CA.node("a"), {"b"}), Node("b", WRONG[wrong], {"a"})
    b.certificate = NodeCertificate("b", CA.pem, WRONG[wrong].certificate_pem, WRONG[wrong].key_pem)
    async with nodes(a):
        b.transport = GrpcTransport(b.servicer, b.dial)
        await b.transport.start(b.events)
        b.transport.set_peers({"a": a.address})
        await until(lambda: b.dials >= 3)
        assert b.events.log == []
        await b.transport.stop()


async def test_a_channel_factory_that_fails_is_tried_again() -> None:
    a, b = pair()
    failures = [OSError("no such certificate"), ValueError("bad PEM")]

    def dial(name: str, address: str) -> grpc.aio.Channel:
        if failures:
            raise failures.pop()
        return a.dial(name, address)

    a.transport = GrpcTransport(a.servicer, dial)
    async with nodes(a, b):
        await connect(a, b)


def test_no_certificate_names_nobody() -> None:
    with pytest.raises(UnauthenticatedError, match="names no node"):
        peer_name({}, "test")
    with pytest.raises(ForbiddenError, match="other"):
        peer_name({"peer_uri": [b"spiffe://other/node/a"]}, "test")
    assert peer_name({"peer_uri": [b"https://example.com/a", b"spiffe://test/node/a"]}, "test") == "a"


CHUNK_BYTES = 1000
CONTENT = bytes(range(250)) * 20


@dataclass
class Receiver(Recorder):
    """Takes snapshots as a core does."""

    content: bytearray = field(default_factory=bytearray)
    chunks: list[raft_pb2.SnapshotChunk] = field(default_factory=list)
    term: int = 1
    stops_at: int = len(CONTENT)
    answers: list[raft_pb2.InstallSnapshotResponse | None] = field(default_factory=list)

    def on_snapshot_chunk(self, peer: str, chunk: raft_pb2.SnapshotChunk) -> raft_pb2.InstallSnapshotResponse | None:
        self.chunks.append(chunk)
        if chunk.term < self.term:
            return raft_pb2.InstallSnapshotResponse(term=self.term, next_offset=chunk.size_bytes)
        if len(self.content) >= self.stops_at:
            return None
        if chunk.offset == len(self.content):
            self.content += chunk.data
        return raft_pb2.InstallSnapshotResponse(term=self.term, next_offset=len(self.content))

    def on_snapshot_sent(self, peer: str, answer: raft_pb2.InstallSnapshotResponse | None) -> None:
        self.answers.append(answer)


def receivers() -> tuple[Node, Node, Receiver, Receiver]:
    a, b = pair()
    sender, receiver = Receiver(), Receiver()
    a.events, b.events = sender, receiver
    return a, b, sender, receiver


def offered(term: int = 1) -> raft_pb2.SnapshotChunk:
    return raft_pb2.SnapshotChunk(term=term, index=9, snapshot_term=1, size_bytes=len(CONTENT), sha256=bytes(32))


def piece(offset: int) -> bytes:
    return CONTENT[offset : offset + CHUNK_BYTES]


async def test_a_snapshot_arrives_beside_the_messages() -> None:
    a, b, sender, receiver = receivers()
    async with nodes(a, b):
        assert not a.transport.send_snapshot("b", offered(), piece)
        await connect(a, b)
        assert a.transport.send_snapshot("b", offered(), piece)
        assert not a.transport.send_snapshot("b", offered(), piece), "one at a time"
        assert a.transport.send("b", vote(1))
        await until(lambda: sender.answers != [] and b.events.terms == [1])
        assert receiver.content == CONTENT
        assert sender.answers == [raft_pb2.InstallSnapshotResponse(term=1, next_offset=len(CONTENT))]
        assert [len(chunk.data) for chunk in receiver.chunks] == [0, *[CHUNK_BYTES] * (len(CONTENT) // CHUNK_BYTES)]
        assert a.transport.send_snapshot("b", offered(), piece), "the next one"


async def test_a_snapshot_goes_on_where_the_receiver_wants() -> None:
    a, b, sender, receiver = receivers()
    receiver.content += CONTENT[:1500]
    async with nodes(a, b):
        await connect(a, b)
        assert a.transport.send_snapshot("b", offered(), piece)
        await until(lambda: sender.answers != [])
        assert receiver.content == CONTENT
        assert [chunk.offset for chunk in receiver.chunks] == [0, 1500, 2500, 3500, 4500]


async def test_a_stale_sender_is_told_the_term_and_sends_nothing() -> None:
    a, b, sender, receiver = receivers()
    receiver.term = 7
    async with nodes(a, b):
        await connect(a, b)
        assert a.transport.send_snapshot("b", offered(), piece)
        await until(lambda: sender.answers != [])
        assert [answer.term for answer in sender.answers if answer] == [7]
        assert len(receiver.chunks) == 1


async def test_a_call_ends_when_a_chunk_is_not_taken() -> None:
    a, b, sender, receiver = receivers()
    receiver.stops_at = 2000
    async with nodes(a, b):
        await connect(a, b)
        assert a.transport.send_snapshot("b", offered(), piece)
        await until(lambda: sender.answers != [])
        assert sender.answers == [None]
        assert a.transport.connected("b")


@pytest.mark.parametrize("failure", [OSError("gone"), b""])
async def test_a_file_that_cannot_be_read_ends_the_call(failure: OSError | bytes) -> None:
    arrived = threading.Event()

    def read(offset: int) -> bytes:
        if offset < 2000:
            return piece(offset)
        arrived.wait(WAIT_S)  # a call that is cancelled takes with it what is under way
        if isinstance(failure, OSError):
            raise failure
        return failure

    a, b, sender, receiver = receivers()
    async with nodes(a, b):
        await connect(a, b)
        assert a.transport.send_snapshot("b", offered(), read)
        await until(lambda: len(receiver.content) == 2000)
        arrived.set()
        await until(lambda: sender.answers != [])
        assert sender.answers == [None]
        assert len(receiver.content) == 2000


async def test_a_peer_that_is_dropped_gets_no_more_of_a_snapshot() -> None:
    a, b, sender, _ = receivers()
    held = threading.Event()

    def read(offset: int) -> bytes:
        held.wait(WAIT_S)
        return piece(offset)

    async with nodes(a, b):
        await connect(a, b)
        assert a.transport.send_snapshot("b", offered(), read)
        await asyncio.sleep(0.05)
        a.transport.set_peers({})
        await until(lambda: sender.answers == [None])
        held.set()


async def test_no_snapshot_of_a_stranger_reaches_the_core() -> None:
    _, b, _, receiver = receivers()
    async with nodes(b), CA.node("c").dial("b", b.address) as channel:
        call: SnapshotCall = channel.stream_unary(
            INSTALL, request_serializer=raft_pb2.SnapshotChunk.SerializeToString
        )()
        assert (await refusal(call))[0] is grpc.StatusCode.PERMISSION_DENIED
        assert receiver.chunks == []
