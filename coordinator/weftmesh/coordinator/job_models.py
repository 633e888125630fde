"""The models of one job on its coordinator's way: from a node that has them, and onto a majority before they count."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from weftmesh.client.retry import until_deadline
from weftmesh.coordinator.mesh_rounds import Office
from weftmesh.core.learning.model import Metric, Version
from weftmesh.learning.v1 import command_pb2
from weftmesh.runtime.wire.learning_records import fill

STORE_S: Final = 60.0
"""To store a model and add its version, retries included: until then the sum is in this process alone."""
MODEL_NOT_FOUND: Final = "MODEL_NOT_FOUND"
"""The node's reason when no member that answers has a model."""


class JobModels:
    """Reads and adds versions of a job.

    Args:
        office: the coordinator's.
        job: its name.
    """

    def __init__(self, office: Office, job: str) -> None:
        self._office = office
        self._job = job
        self._last: tuple[bytes, bytes] = (b"", b"")
        """The digest and the bytes of the model that was used last."""

    async def of(self, version: Version) -> bytes:
        """The bytes of a version.

        Raises:
            NotFoundError: MODEL_NOT_FOUND.
            WeftmeshError: the node cannot be asked.
        """
        if self._last[0] != version.sha256:
            self._last = (version.sha256, await self._office.learning.get_model(version.sha256))
        return self._last[1]

    async def add(
        self,
        model: bytes,
        metrics: tuple[Metric, ...] = (),
        *,
        round_id: bytes = b"",
        parent: int = 0,
    ) -> int:
        """Store a model on a majority and add its version; the number. See `commands.AddVersion` for the arguments.

        Raises:
            WeftmeshError: it cannot be kept.
        """

        async def stored(left_s: float) -> int:
            return (await self._office.learning.put_model(model, timeout_s=left_s)).holders

        holders = await until_deadline(stored, STORE_S)
        digest = sha256(model).digest()
        version = command_pb2.AddVersion(
            job=self._job,
            coordinator=self._office.coordinator,
            round_id=round_id,
            parent=parent,
            sha256=digest,
            size_bytes=len(model),
            blob_holders=holders,
        )
        for one in metrics:
            fill(version.metrics.add(), one)
        added = await self._office.propose(add_version=version)
        self._last = (digest, model)
        return added.current_version
