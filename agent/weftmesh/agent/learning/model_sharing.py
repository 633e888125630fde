"""Models on more than one node: pushed until a majority of the voters has them, and fetched from whoever has them."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from weftmesh.agent.learning.egress import LearningEgress
from weftmesh.agent.learning.gate import Gate
from weftmesh.agent.learning.model_parts import Model, check_sha256, from_parts, to_parts
from weftmesh.agent.learning.model_store import ModelStore
from weftmesh.agent.learning.peers import Peers
from weftmesh.agent.learning.replica import Replica, members_of
from weftmesh.agent.raft.core.membership import quorum_size
from weftmesh.core.errors import NoQuorumError, NotFoundError, WeftmeshError
from weftmesh.learning.v1 import learning_pb2

PUSH_TIMEOUT_S: Final = 10.0
FETCH_TIMEOUT_S: Final = 10.0
BARRIER_S: Final = 2.0
TRANSFERS_MAX: Final = 4
"""Models that are held in memory at a time for this node's processes, and for members; each takes up to 16 MiB."""
TRANSFERS_WAITING_MAX: Final = 64

log = structlog.get_logger("weftmesh.learning")


class ModelSharing:
    """This node's models, and how others get them and give them.

    Attributes:
        for_processes: held while a process of this node moves a model.
        for_members: held while a member does. It never waits for another node, so that two nodes that push to each
            other do not wait for ever.
    """

    def __init__(self, node: str, store: ModelStore, peers: Peers, replica: Replica, egress: LearningEgress) -> None:
        self._node = node
        self._store = store
        self._peers = peers
        self._replica = replica
        self._egress = egress
        self.for_processes = Gate(TRANSFERS_MAX, TRANSFERS_WAITING_MAX)
        self.for_members = Gate(TRANSFERS_MAX, TRANSFERS_WAITING_MAX)
        self._pushing: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    async def store(self, model: Model) -> None:
        """Keep a model here; soon after, what no version names any more goes.

        Raises:
            WeftmeshError: the disk does not take it, or there are too many.
        """
        await self._store.put(model)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.get_running_loop().create_task(self.sweep())

    async def put(self, model: Model) -> int:
        """Keep a model here and on others; how many voters held it when a majority did.

        Slower voters still get it after this has returned.

        Raises:
            NoQuorumError: a majority of the voters did not take it.
            WeftmeshError: this node does not take it.
        """
        await self.store(model)
        voters = self._replica.status.voters
        holders = 1 if self._node in voters else 0
        wanted = quorum_size(voters)
        pushes = {self._push(voter, model) for voter in voters if voter != self._node}
        while holders < wanted and pushes:
            done, pushes = await asyncio.wait(pushes, return_when=asyncio.FIRST_COMPLETED)
            holders += sum(1 for one in done if not one.cancelled() and one.exception() is None)
        if holders < wanted:
            raise NoQuorumError(
                f"{holders} of {len(voters)} voters hold the model, {wanted} have to; try again when more can be "
                "reached, see `weftmesh members`"
            )
        return holders

    async def get(self, sha256: bytes) -> Model:
        """A model from here, or from the first member that has it; then it is here too.

        Raises:
            InvalidInputError: this is no model's name.
            NotFoundError: no member that answers has it.
        """
        found = await self.local(sha256)
        if found is not None:
            return found
        peers = {one.name: one.connected for one in self._replica.status.peers}
        others = [name for name in members_of(self._replica.status) if name != self._node]
        for name in sorted(others, key=lambda name: (not peers.get(name, False), name)):
            try:
                found = await self._fetch(name, sha256)
            except WeftmeshError as error:
                log.info("a model is not to be had there", model=sha256.hex(), member=name, why=str(error))
                continue
            await self._store.put(found)
            return found
        raise NotFoundError(
            f"no member that answers has the model {sha256.hex()}; start the nodes that held it, or go on from another "
            "version",
            reason="MODEL_NOT_FOUND",
        )

    async def local(self, sha256: bytes) -> Model | None:
        """A model that is here.

        Raises:
            InvalidInputError: this is no model's name.
        """
        check_sha256(sha256)
        return await self._store.get(sha256)

    async def record_departure(self, model: Model, member: str) -> None:
        """Record that a model is about to leave for `member`.

        Raises:
            WeftmeshError: it could not be recorded and must not leave.
        """
        why = f"model {model.sha256.hex()[:16]}"
        await self._egress.record_known(member, len(model.data), model.sha256, why)

    async def sweep(self) -> None:
        """Remove models that no version names, if this replica is up to date: one that is behind cannot tell."""
        try:
            await self._replica.engine.read_barrier(BARRIER_S)
        except WeftmeshError:
            return
        learning = self._replica.learning
        named = {version.sha256 for job in learning.jobs() for version in learning.versions(job.name)}
        removed = await self._store.sweep(named)
        if removed:
            log.info("models that no version names are removed", count=removed)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [*self._pushing, *([self._sweeping] if self._sweeping is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _push(self, voter: str, model: Model) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._hand_over(voter, model))
        self._pushing.add(task)
        task.add_done_callback(self._pushed)
        return task

    def _pushed(self, task: asyncio.Task[None]) -> None:
        self._pushing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a voter did not take a model", why=str(error))

    async def _hand_over(self, voter: str, model: Model) -> None:
        async with self._peers.stub(voter) as stub:
            await self.record_departure(model, voter)
            await stub.StoreModel(to_parts(model), timeout=PUSH_TIMEOUT_S)

    async def _fetch(self, member: str, sha256: bytes) -> Model:
        async with self._peers.stub(member) as stub:
            request = learning_pb2.GetModelRequest(sha256=sha256)
            model = await from_parts(stub.FetchModel(request, timeout=FETCH_TIMEOUT_S))
        if model.sha256 != sha256:
            raise NotFoundError(f"{member} sent another model than the one asked for", reason="MODEL_NOT_FOUND")
        return model
