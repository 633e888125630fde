"""An effort model as bytes: a fixed layout of a fixed size, little-endian.

    offset  size           what
    0       8              b"WMEFFORT"
    8       2              format version, 1
    10      2              bits of a bucket number, 14
    12      4              number of shape features, 9
    16      8              model version
    24      8              documents counted (double)
    32      4 * D          weights (single)
    ...     4 * D          velocity (single)
    ...     4 * B          idf (single)
    ...     8 * S          means of the shape features (double)
    ...     8 * S          their deviations (double)
    end-4   4              CRC-32 of all bytes before it

with B = 2^14 buckets, S = 9 and D = B + S. The checksum finds damage; that a model is the one that the mesh agreed on
follows from its SHA-256 in the log, which whoever fetches it compares.
"""

from __future__ import annotations

import math
import sys
from array import array
from struct import Struct
from typing import Final, Literal
from zlib import crc32

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.effort import EffortModel, check_weights
from weftmesh.core.forecast.features import BUCKET_BITS, BUCKETS, DIMENSIONS, SHAPES, FeatureStatistics

FORMAT_VERSION: Final = 1
_MAGIC: Final = b"WMEFFORT"
_HEADER: Final = Struct("<8sHHIQd")
_BODY: Final = Struct(f"<{2 * DIMENSIONS + BUCKETS}f{2 * SHAPES}d")
_PARTS: Final[tuple[tuple[Literal["f", "d"], int], ...]] = (
    ("f", DIMENSIONS),
    ("f", DIMENSIONS),
    ("f", BUCKETS),
    ("d", SHAPES),
    ("d", SHAPES),
)
_CHECKSUM: Final = Struct("<I")
MODEL_BYTES: Final = _HEADER.size + _BODY.size + _CHECKSUM.size


def encode_model(model: EffortModel) -> bytes:
    """Write a model; always `MODEL_BYTES` long."""
    statistics = model.statistics
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, BUCKET_BITS, SHAPES, model.version, statistics.documents)
    singles = (*model.weights, *model.velocity, *statistics.idf)
    body = _BODY.pack(*singles, *statistics.shape_means, *statistics.shape_deviations)
    return header + body + _CHECKSUM.pack(crc32(header + body))


def decode_model(blob: bytes) -> EffortModel:
    """Read a model.

    Raises:
        InvalidInputError: reason MODEL_FORMAT_UNSUPPORTED for another format or other dimensions than this release
            has, MODEL_INVALID for damage or numbers that no training makes.
    """
    version, documents = _checked_header(blob)
    weights, velocity, idf, means, deviations = _numbers(blob)
    check_weights("model: weights", weights)
    check_weights("model: velocity", velocity)
    # A sum of singles is finite if each of them is, and not otherwise.
    rest = (documents, sum(idf), *means, *deviations)
    if not all(map(math.isfinite, rest)) or min(documents, min(idf), *deviations) < 0:
        raise _invalid("its feature statistics contain a number that is negative or not finite")
    return EffortModel(version, weights, velocity, FeatureStatistics(documents, idf, means, deviations))


def _checked_header(blob: bytes) -> tuple[int, float]:
    """The model version and the number of documents of a blob whose checksum holds."""
    if len(blob) < _HEADER.size or not blob.startswith(_MAGIC):
        raise _invalid("it does not begin as one")
    _, format_version, bits, shapes, version, documents = _HEADER.unpack_from(blob)
    if (format_version, bits, shapes) != (FORMAT_VERSION, BUCKET_BITS, SHAPES):
        raise InvalidInputError(
            f"effort model: format {format_version} with {bits} bits and {shapes} shape features; this release reads "
            f"{FORMAT_VERSION} with {BUCKET_BITS} and {SHAPES}; upgrade this node or train anew",
            reason="MODEL_FORMAT_UNSUPPORTED",
        )
    if len(blob) != MODEL_BYTES:
        raise _invalid(f"it has {len(blob)} bytes instead of {MODEL_BYTES}")
    (checksum,) = _CHECKSUM.unpack_from(blob, MODEL_BYTES - _CHECKSUM.size)
    if crc32(blob[: -_CHECKSUM.size]) != checksum:
        raise _invalid("its checksum does not match")
    return version, documents


def _numbers(blob: bytes) -> list[array[float]]:
    """Weights, velocity, idf, means and deviations; taken over as they lie there, since each round reads a model."""
    parts, start = [], _HEADER.size
    for kind, length in _PARTS:
        part = array(kind)
        end = start + length * part.itemsize
        part.frombytes(blob[start:end])
        if sys.byteorder == "big":
            part.byteswap()
        parts.append(part)
        start = end
    return parts


def _invalid(why: str) -> InvalidInputError:
    return InvalidInputError(f"effort model: cannot be used: {why}; fetch it again", reason="MODEL_INVALID")
