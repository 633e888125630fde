"""The LearningPeerService, for members over the mesh port: who calls is what the certificate says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from weftmesh.agent.learning.access import Access
from weftmesh.agent.learning.model_parts import from_parts, to_parts
from weftmesh.agent.serving.callers import Context
from weftmesh.core.errors import InvalidInputError, NotFoundError
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.rpc import waits

if TYPE_CHECKING:
    from weftmesh.agent.learning.assembly import Parts

TRANSFER_MAX_S: Final = 30.0
"""For a model to go from one member to another; places are few, and who dawdles gives its own up."""


class LearningPeerServicer(learning_pb2_grpc.LearningPeerServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.learning.v1.LearningPeerService on the mesh port; learning.proto documents each method."""

    def __init__(self, access: Access, parts: Callable[[], Awaitable[Parts]], identity: NodeIdentity) -> None:
        self._access = access
        self._parts = parts
        self._identity = identity

    @waits
    async def Exchange(  # noqa: N802
        self, request: learning_pb2.ExchangeRequest, context: Context
    ) -> learning_pb2.ExchangeResponse:
        """See learning.proto."""
        member = self._access.member(context)
        parts = await self._parts()
        return await parts.exchanges.answer(request, member)

    async def StoreModel(  # noqa: N802
        self, request_iterator: AsyncIterator[learning_pb2.ModelPart], context: Context
    ) -> learning_pb2.PutModelResponse:
        """See learning.proto."""
        self._access.member(context)
        _check_deadline(context)
        parts = await self._parts()
        async with parts.models.for_members:
            await parts.models.store(await from_parts(request_iterator))
        return learning_pb2.PutModelResponse(holders=1)

    async def FetchModel(  # noqa: N802
        self, request: learning_pb2.GetModelRequest, context: Context
    ) -> AsyncIterator[learning_pb2.ModelPart]:
        """See learning.proto."""
        member = self._access.member(context)
        _check_deadline(context)
        parts = await self._parts()
        async with parts.models.for_members:
            model = await parts.models.local(request.sha256)
            if model is None:
                raise NotFoundError(
                    f"the model {request.sha256.hex()} is not here; ask another member", reason="MODEL_NOT_FOUND"
                )
            await parts.models.record_departure(model, member)
            for part in to_parts(model):
                yield part

    async def ShowCertificate(  # noqa: N802
        self,
        request: learning_pb2.ShowCertificateRequest,  # noqa: ARG002
        context: Context,
    ) -> learning_pb2.ShowCertificateResponse:
        """See learning.proto."""
        self._access.member(context)
        return learning_pb2.ShowCertificateResponse(chain=self._identity.material.certificate_pem)


def _check_deadline(context: Context) -> None:
    """Return if the call ends by itself: the server ends every call at its deadline, whatever the caller does."""
    remaining_s = context.time_remaining()
    if remaining_s is None or remaining_s > TRANSFER_MAX_S:
        raise InvalidInputError(f"a model moves in {TRANSFER_MAX_S:g} s; set a deadline of no more for the call")
