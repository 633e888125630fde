"""A finish model as bytes: a fixed layout of a fixed size, little-endian.

    offset  size       what
    0       8          b"WMFINISH"
    8       2          format version, 1
    10      2          number of features, F
    12      2          number of phases, P
    14      2          number of intervals, K
    16      8          model version
    24      8 * F      means of the features (double)
    ...     8 * F      their deviations (double)
    ...     8 * P * F  weights, one row per phase (double)
    ...     8 * K      shared rates (double)
    end-4   4          CRC-32 of all bytes before it

What a feature and an interval are is fixed by the format version. The checksum finds damage; that a model is the one
that the mesh agreed on follows from its SHA-256 in the log, which whoever fetches it compares.
"""

from __future__ import annotations

from itertools import islice
from struct import Struct
from typing import Final
from zlib import crc32

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import INTERVALS, PHASES
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.forecast.finish_model import FinishModel

FORMAT_VERSION: Final = 1
_MAGIC: Final = b"WMFINISH"
_HEADER: Final = Struct("<8sHHHHQ")
_BODY: Final = Struct(f"<{(2 + PHASES) * len(FEATURES) + INTERVALS}d")
_CHECKSUM: Final = Struct("<I")
MODEL_BYTES: Final = _HEADER.size + _BODY.size + _CHECKSUM.size
_SHAPE: Final = (FORMAT_VERSION, len(FEATURES), PHASES, INTERVALS)


def encode_model(model: FinishModel) -> bytes:
    """Write a model; always `MODEL_BYTES` long.

    Raises:
        InvalidInputError: it is not a model of this release's features.
    """
    if len(model.means) != len(FEATURES):
        raise InvalidInputError(f"finish model: it has {len(model.means)} features instead of {len(FEATURES)}")
    weights = (weight for row in model.weights for weight in row)
    header = _HEADER.pack(_MAGIC, *_SHAPE, model.version)
    body = _BODY.pack(*model.means, *model.deviations, *weights, *model.rates)
    return header + body + _CHECKSUM.pack(crc32(header + body))


def decode_model(blob: bytes) -> FinishModel:
    """Read a model.

    Raises:
        InvalidInputError: reason MODEL_FORMAT_UNSUPPORTED for another format or other dimensions than this release
            has, MODEL_INVALID for damage or numbers that no training makes.
    """
    version = _checked_version(blob)
    numbers = iter(_BODY.unpack_from(blob, _HEADER.size))

    def take(count: int) -> tuple[float, ...]:
        return tuple(islice(numbers, count))

    features = len(FEATURES)
    try:
        return FinishModel(
            version=version,
            means=take(features),
            deviations=take(features),
            weights=tuple(take(features) for _ in range(PHASES)),
            rates=take(INTERVALS),
        )
    except InvalidInputError as error:
        raise _invalid(str(error)) from error


def _checked_version(blob: bytes) -> int:
    """The model version of a blob whose checksum holds."""
    if len(blob) < _HEADER.size or not blob.startswith(_MAGIC):
        raise _invalid("it does not begin as one")
    _, *shape, version = _HEADER.unpack_from(blob)
    if tuple(shape) != _SHAPE:
        raise InvalidInputError(
            f"finish model: format {shape[0]} with {shape[1]} features, {shape[2]} phases and {shape[3]} intervals; "
            f"this release reads {_SHAPE}; upgrade this node or train anew",
            reason="MODEL_FORMAT_UNSUPPORTED",
        )
    if len(blob) != MODEL_BYTES:
        raise _invalid(f"it has {len(blob)} bytes instead of {MODEL_BYTES}")
    (checksum,) = _CHECKSUM.unpack_from(blob, MODEL_BYTES - _CHECKSUM.size)
    if crc32(blob[: -_CHECKSUM.size]) != checksum:
        raise _invalid("its checksum does not match")
    return int(version)


def _invalid(why: str) -> InvalidInputError:
    return InvalidInputError(f"finish model: cannot be used: {why}; fetch it again", reason="MODEL_INVALID")
