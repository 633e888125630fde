"""One interface over both systems for the processes that load them, each through its own client library.

An entry is a task with a description of 256 bytes, or a key with a value of 256 bytes. `create` makes new ones;
`update` writes another value to one of a few that exist. Errors are those of the libraries: WeftmeshError, AioRpcError.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from google.protobuf.field_mask_pb2 import FieldMask

from benchmarks.etcd import client as etcd
from weftmesh import client as weftmesh
from weftmesh.board.v1 import board_pb2
from weftmesh.client.target import Identity
from weftmesh.core.errors import WeftmeshError

VALUE_BYTES: Final = 256
UPDATED_ENTRIES: Final = 64
WRITE_TIMEOUT_S: Final = 30.0
PROJECT: Final = "BENCH"
PARENT: Final = f"projects/{PROJECT}"
TITLE: Final = "bench"
PREFIX: Final = b"bench/"
PREFIX_END: Final = b"bench0"
PROGRESS_S: Final = 0.2
FILLING: Final = "x" * (VALUE_BYTES - 16)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One node of one system, as a process needs it to connect; travels as JSON on a command line.

    Attributes:
        system: weftmesh or etcd.
        address: host:port under mutual TLS.
        node: the node's name.
        server_name: the name that its certificate carries.
        credentials: the directory with ca.pem, node.pem and node.key to show.
    """

    system: str
    address: str
    node: str
    server_name: str
    credentials: str

    def to_json(self) -> str:
        """For `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


class Store(Protocol):
    """Writes and watches entries. Every write returns a revision at or after its own."""

    async def prepare(self) -> None:
        """Make the entries that are updated; once for a fresh system."""

    async def create(self) -> int:
        """Make an entry by the library's typed call."""

    async def create_streamed(self) -> int:
        """Make an entry by the library's fastest call for many at a time."""

    async def create_batch(self, count: int) -> int:
        """Make many entries with one message."""

    async def update(self) -> int:
        """Write another value to one of the entries that `prepare` made, each in turn."""

    async def revision(self) -> int:
        """The revision now, linearizable."""

    async def entries(self) -> int:
        """How many entries there are."""

    def watch(self) -> AsyncGenerator[int, None]:
        """Revisions of entries as they are written; 0 first, once the watch is in place, and perhaps again."""


def new_value(number: int) -> str:
    """256 bytes that differ from run to run."""
    return f"{(time.monotonic_ns() + number) & (2**64 - 1):016x}{FILLING}"


class EtcdStore:
    """Over the thin client: etcd's put is the same unary call whichever way it is asked for."""

    def __init__(self, client: etcd.EtcdClient) -> None:
        self._client = client
        self._numbers = itertools.count()
        self._run = os.urandom(6).hex()

    async def prepare(self) -> None:
        """Make the updated keys."""
        for number in range(UPDATED_ENTRIES):
            await self._client.put(_updated_key(number), new_value(number).encode(), WRITE_TIMEOUT_S)

    async def create(self) -> int:
        """Put a new key."""
        number = next(self._numbers)
        return await self._client.put(self._key(number), new_value(number).encode(), WRITE_TIMEOUT_S)

    async def create_streamed(self) -> int:
        """The same: there is no other."""
        return await self.create()

    async def create_batch(self, count: int) -> int:
        """Put new keys in one transaction."""
        numbers = itertools.islice(self._numbers, count)
        pairs = [(self._key(number), new_value(number).encode()) for number in numbers]
        return await self._client.put_all(pairs, WRITE_TIMEOUT_S)

    async def update(self) -> int:
        """Put one of the updated keys."""
        number = next(self._numbers)
        key = _updated_key(number % UPDATED_ENTRIES)
        return await self._client.put(key, new_value(number).encode(), WRITE_TIMEOUT_S)

    async def revision(self) -> int:
        """The store's revision."""
        return await self._client.revision(WRITE_TIMEOUT_S)

    async def entries(self) -> int:
        """How many keys there are."""
        return await self._client.count(PREFIX, PREFIX_END, WRITE_TIMEOUT_S)

    async def watch(self) -> AsyncGenerator[int, None]:
        """Revisions of puts."""
        async with aclosing(self._client.watch(PREFIX, PREFIX_END)) as messages:
            async for message in messages:
                if message.created:
                    yield 0
                for revision in message.revisions:
                    yield revision

    def _key(self, number: int) -> bytes:
        return b"%snew/%s/%012d" % (PREFIX, self._run.encode(), number)


class WeftmeshStore:
    """Over weftmesh.client. Tasks get their ids in the library, as for any caller."""

    def __init__(self, client: weftmesh.Client) -> None:
        self._client = client
        self._numbers = itertools.count()

    async def prepare(self) -> None:
        """Make the project and the updated tasks."""
        request = board_pb2.CreateProjectRequest(project_id=PROJECT, project=board_pb2.Project(title=TITLE))
        await self._client.board.create_project(request, timeout_s=WRITE_TIMEOUT_S)
        for number in range(UPDATED_ENTRIES):
            made = create_request(new_value(number))
            made.task_id = _updated_id(number)
            await self._client.board.create_task(made, timeout_s=WRITE_TIMEOUT_S)

    async def create(self) -> int:
        """Make a task and get it back."""
        request = create_request(new_value(next(self._numbers)))
        return (await self._client.board.create_task(request, timeout_s=WRITE_TIMEOUT_S)).revision

    async def create_streamed(self) -> int:
        """Make a task and get its name and revision."""
        request = create_request(new_value(next(self._numbers)))
        return (await self._client.write(request, timeout_s=WRITE_TIMEOUT_S)).revision

    async def create_batch(self, count: int) -> int:
        """Make tasks by one call of `write_many`, which sends them in one message."""
        requests = [create_request(new_value(number)) for number in itertools.islice(self._numbers, count)]
        answers = await self._client.write_many(requests, timeout_s=WRITE_TIMEOUT_S)
        revisions = []
        for answer in answers:
            if isinstance(answer, WeftmeshError):
                raise answer
            revisions.append(answer.revision)
        return max(revisions)

    async def update(self) -> int:
        """Change the description of one of the updated tasks."""
        number = next(self._numbers)
        task = board_pb2.Task(
            name=f"{PARENT}/tasks/{_updated_id(number % UPDATED_ENTRIES)}", description=new_value(number)
        )
        request = board_pb2.UpdateTaskRequest(task=task, update_mask=FieldMask(paths=["description"]))
        return (await self._client.board.update_task(request, timeout_s=WRITE_TIMEOUT_S)).revision

    async def revision(self) -> int:
        """The board's revision."""
        page = await self._client.board.list_tasks(
            board_pb2.ListTasksRequest(parent=PARENT, page_size=1, consistency=board_pb2.READ_CONSISTENCY_LINEARIZABLE),
            timeout_s=WRITE_TIMEOUT_S,
        )
        return page.freshness.revision

    async def entries(self) -> int:
        """How many tasks there are."""
        await self.revision()  # waits until this node has them all
        request = board_pb2.GetProjectRequest(name=PARENT)
        return (await self._client.board.get_project(request, timeout_s=WRITE_TIMEOUT_S)).task_count

    async def watch(self) -> AsyncGenerator[int, None]:
        """Revisions of the tasks' events; 0 for each sign of life."""
        async with aclosing(self._client.watch(PARENT, progress_s=PROGRESS_S)) as events:
            async for event in events:
                yield event.revision if event.WhichOneof("event") == "task" else 0


def create_request(value: str) -> board_pb2.CreateTaskRequest:
    """A request for a new task; the node, or the library, makes its id."""
    return board_pb2.CreateTaskRequest(parent=PARENT, task=board_pb2.Task(title=TITLE, description=value))


@asynccontextmanager
async def open_store(endpoint: Endpoint) -> AsyncIterator[Store]:
    """The store behind a node, over mutual TLS."""
    directory = Path(endpoint.credentials)
    if endpoint.system == "etcd":
        async with etcd.connect(endpoint.address, directory) as client:
            yield EtcdStore(client)
    else:
        identity = Identity(directory, endpoint.node)
        async with weftmesh.connect(endpoint.address, identity=identity) as board:
            yield WeftmeshStore(board)


def monotonic_us() -> int:
    """A clock that all processes of this machine share."""
    return time.monotonic_ns() // 1_000


def _updated_key(number: int) -> bytes:
    return b"%sset/%04d" % (PREFIX, number)


def _updated_id(number: int) -> str:
    return f"{number:026d}"  # digits are a ULID too


__all__ = ["Endpoint", "Store", "create_request", "monotonic_us", "open_store"]
