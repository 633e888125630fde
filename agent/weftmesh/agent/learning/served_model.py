"""The model that forecasts are made with: the active version in this node's replica, and its bytes from disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog
from google.protobuf.message import DecodeError

from weftmesh.agent.learning.gate import Gate
from weftmesh.agent.learning.model_sharing import ModelSharing
from weftmesh.agent.learning.replica import Replica
from weftmesh.core.errors import NotFoundError, WeftmeshError
from weftmesh.core.learning.model import Job, Version
from weftmesh.learning.v1 import learning_pb2

FETCH_S: Final = 10.0
"""A model that is not here is looked for on other nodes for so long."""
RETRY_S: Final = 30.0
"""A model that could not be had is not looked for again before that."""
WAITING_MAX: Final = 64

M = TypeVar("M")

log = structlog.get_logger("weftmesh.learning")


@dataclass(frozen=True, slots=True)
class Served(Generic[M]):
    """A model in use.

    Attributes:
        version: its number in the replicated state.
        sha256: of its bytes.
        model: what is in them.
    """

    version: int
    sha256: bytes
    model: M


class ServedModel(Generic[M]):
    """The active model of one head; the one that was read last is kept.

    Args:
        head: what it forecasts, as in JobSpec.
        decode: reads its bytes, or raises a WeftmeshError.
        replica: says which version is active.
        sharing: has the bytes, or gets them.
        clock_s: seconds that only go up.
    """

    def __init__(
        self,
        head: str,
        decode: Callable[[bytes], M],
        replica: Replica,
        sharing: ModelSharing,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._head = head
        self._decode = decode
        self._replica = replica
        self._sharing = sharing
        self._clock_s = clock_s
        self._turn = Gate(1, WAITING_MAX)
        self._read: Served[M] | None = None
        self._failed: tuple[bytes, float, WeftmeshError] | None = None

    async def current(self) -> Served[M]:
        """The active version.

        Raises:
            NotFoundError: no version is active, or no node that answers has its bytes.
            WeftmeshError: its bytes cannot be read.
        """
        version = self._active()
        if self._read is None or self._read.sha256 != version.sha256:
            async with self._turn:
                if self._read is None or self._read.sha256 != version.sha256:
                    self._read = Served(version.number, version.sha256, await self._load(version))
        return Served(version.number, version.sha256, self._read.model)

    def _active(self) -> Version:
        learning = self._replica.learning
        jobs = [job for job in learning.jobs() if spec_of(job).head == self._head]
        active = [version for job in jobs if (version := learning.active_version(job.name)) is not None]
        if active:
            return max(active, key=lambda version: version.activated_revision)
        why = f"no version of job {jobs[0].name} is active" if jobs else f"no job learns {self._head}"
        raise NotFoundError(f"there is no model for {self._head} yet: {why}; see `weftmesh learn status`")

    async def _load(self, version: Version) -> M:
        if self._failed is not None and self._failed[0] == version.sha256 and self._clock_s() < self._failed[1]:
            raise self._failed[2]
        try:
            async with asyncio.timeout(FETCH_S), self._sharing.for_processes:
                blob = await self._sharing.get(version.sha256)
            return await asyncio.to_thread(self._decode, blob.data)
        except TimeoutError:
            error: WeftmeshError = NotFoundError(f"model {version.sha256.hex()[:16]} did not arrive in {FETCH_S:g} s")
        except WeftmeshError as found:
            error = found
        log.warning("a model cannot be used", head=self._head, version=version.number, why=str(error))
        self._failed = (version.sha256, self._clock_s() + RETRY_S, error)
        raise error


def spec_of(job: Job) -> learning_pb2.JobSpec:
    """What a job trains; empty when a newer release wrote it."""
    try:
        return learning_pb2.JobSpec.FromString(job.spec)
    except DecodeError:
        return learning_pb2.JobSpec()
