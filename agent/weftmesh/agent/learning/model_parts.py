"""A model on the wire: a stream of parts, the first of which says how many bytes there will be and their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.records import record
from weftmesh.learning.v1 import learning_pb2

MODEL_BYTES_MAX: Final = 16 * 1024 * 1024
PART_BYTES: Final = 512 * 1024
SHA256_BYTES: Final = 32


@record(frozen=True, slots=True)
class Model:
    """A model's bytes under their name; made by `model_of` and `from_parts`, which compare the two."""

    sha256: bytes
    data: bytes


def model_of(sha256: bytes, data: bytes) -> Model:
    """The model called `sha256`.

    Raises:
        InvalidInputError: MODEL_DAMAGED: these are not its bytes.
    """
    if hashlib.sha256(data).digest() != sha256:
        raise InvalidInputError(
            f"{len(data)} bytes are not the model {sha256.hex()[:16]}...; send it again", reason="MODEL_DAMAGED"
        )
    return Model(sha256, data)


def check_sha256(sha256: bytes) -> None:
    """Return if this is the name of a model.

    Raises:
        InvalidInputError: it is not.
    """
    if len(sha256) != SHA256_BYTES:
        raise InvalidInputError(f"sha256 has {len(sha256)} bytes; send the model's SHA-256, {SHA256_BYTES} bytes")


async def from_parts(parts: AsyncIterator[learning_pb2.ModelPart]) -> Model:
    """The model that a peer or a process sends; never holds more than it announced, nor than MODEL_BYTES_MAX.

    Raises:
        InvalidInputError: it is too large, not as long as announced, or not the model that was announced.
    """
    first: learning_pb2.ModelPart | None = None
    data = bytearray()
    async for part in parts:
        if first is None:
            first = part
            check_sha256(first.sha256)
            if not 0 < first.size_bytes <= MODEL_BYTES_MAX:
                raise InvalidInputError(
                    f"size_bytes is {first.size_bytes}; a model has 1 to {MODEL_BYTES_MAX} bytes",
                    reason="MODEL_TOO_LARGE",
                )
        data += part.data
        if len(data) > first.size_bytes:
            raise InvalidInputError(f"more than the {first.size_bytes} bytes came that were announced")
    if first is None or len(data) != first.size_bytes:
        raise InvalidInputError(
            f"{len(data)} bytes of {first.size_bytes if first else 'a model'} came; send it again",
            reason="MODEL_INCOMPLETE",
        )
    return model_of(first.sha256, bytes(data))


def to_parts(model: Model) -> Iterator[learning_pb2.ModelPart]:
    """The parts of a model, in order."""
    for start in range(0, len(model.data), PART_BYTES):
        part = learning_pb2.ModelPart(data=model.data[start : start + PART_BYTES])
        if not start:
            part.sha256, part.size_bytes = model.sha256, len(model.data)
        yield part
