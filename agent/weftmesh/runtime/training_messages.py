"""What a learning message carries: the model out, a weighted change or metrics back; written and read in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from weftmesh.core.encoding import encode
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.flower import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

ARRAYS: Final = "arrays"
CONFIG: Final = "config"
METRICS: Final = "metrics"
MODEL: Final = "model"
CHANGE: Final = "change"
WEIGHT: Final = "weight"
METRICS_MAX: Final = 64
WEIGHT_MAX: Final = 1e9

ConfigValue = bool | int | float | str | bytes
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LocalUpdate:
    """What one node learned from one base model.

    Attributes:
        change: float32 of shape (d,): its parameters after local training minus those of the base model.
        weight: how much it counts in the mean, above 0 and at most WEIGHT_MAX.
        metrics: finite numbers that are averaged with the same weight; "weight" is not a name for one.
    """

    change: Vector
    weight: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalEvaluation:
    """How good a model is on one node's own data.

    Attributes:
        weight: how much it counts in the mean, above 0 and at most WEIGHT_MAX.
        metrics: finite numbers that are averaged with that weight.
    """

    weight: float
    metrics: Mapping[str, float]


def model_arrays(model: bytes) -> ArrayRecord:
    """A model's bytes, which Flower and the coordinator pass on as they are."""
    return ArrayRecord({MODEL: Array(np.frombuffer(model, dtype=np.uint8))})


def model_of(arrays: ArrayRecord) -> bytes:
    """The inverse of `model_arrays`.

    Raises:
        InvalidInputError: there is no model in it.
    """
    array = arrays.get(MODEL)
    if array is None or array.dtype != "uint8":
        raise _malformed("it carries no model")
    return bytes(unpacked(array).tobytes())


def unpacked(array: Array) -> NDArray[Any]:
    """The numbers of an array of a message that `flower.from_bytes` read, and so checked; they cannot be changed.

    NumPy would parse the header with `ast`, which fails now and then in several threads at a time, as CPython counts
    the depth of its recursion for the whole interpreter (python/cpython#106905).
    """
    count, dtype = math.prod(array.shape), np.dtype(array.dtype)
    at_bytes = len(array.data) - count * dtype.itemsize
    return np.frombuffer(array.data, dtype, count, at_bytes).reshape(array.shape)


def instruction(model: bytes, config: Mapping[str, ConfigValue]) -> RecordDict:
    """Content of a train or evaluate message."""
    return RecordDict({ARRAYS: model_arrays(model), CONFIG: ConfigRecord(dict(config))})


def read_instruction(message: Message) -> tuple[bytes, dict[str, ConfigValue]]:
    """The model and the settings of a train or evaluate message.

    Raises:
        InvalidInputError: one of them is missing, or a setting is a list.
    """
    arrays = _content(message).array_records.get(ARRAYS)
    config = _content(message).config_records.get(CONFIG)
    if arrays is None or config is None:
        raise _malformed("it needs a model and settings")
    settings: dict[str, ConfigValue] = {}
    for name, value in config.items():
        if isinstance(value, list):
            raise _malformed(f"setting {name!r} is a list")
        settings[name] = value
    return model_of(arrays), settings


def work_sha256(message: Message, metrics: Sequence[str]) -> bytes:
    """The hash of all that a node's part in a sum depends on and a coordinator chooses; see `keys.bound_to_work`.

    Args:
        message: of type train or evaluate.
        metrics: names of those in the vector, in its order.

    Raises:
        InvalidInputError: see `read_instruction`.
    """
    model, settings = read_instruction(message)
    told = [f"{name}={type(value).__name__}:{value!r}" for name, value in sorted(settings.items())]
    kind = message.metadata.message_type
    return sha256(encode(kind, model, len(told), *told, len(metrics), *metrics)).digest()


def update_content(update: LocalUpdate) -> RecordDict:
    """Content of the reply to a train message.

    Raises:
        InvalidInputError: the update is not one that a coordinator takes: wrong shape, weight or a number not finite.
    """
    _check_change(update.change)
    change = ArrayRecord({CHANGE: Array(np.ascontiguousarray(update.change))})
    return RecordDict({ARRAYS: change, METRICS: _metric_record(update.weight, update.metrics)})


def read_update(message: Message) -> LocalUpdate:
    """The inverse of `update_content`, with the same checks.

    Raises:
        InvalidInputError: the reply does not carry a usable update.
    """
    content = _content(message)
    arrays = content.array_records.get(ARRAYS)
    if arrays is None or set(arrays) != {CHANGE} or len(content.array_records) != 1:
        raise _malformed("it carries no change, or more than one")
    change = unpacked(arrays[CHANGE])
    _check_change(change)
    weight, metrics = _read_metrics(content)
    return LocalUpdate(change, weight, metrics)


def evaluation_content(evaluation: LocalEvaluation) -> RecordDict:
    """Content of the reply to an evaluate message.

    Raises:
        InvalidInputError: a number is not finite, or the weight is out of range.
    """
    return RecordDict({METRICS: _metric_record(evaluation.weight, evaluation.metrics)})


def read_evaluation(message: Message) -> LocalEvaluation:
    """The inverse of `evaluation_content`, with the same checks.

    Raises:
        InvalidInputError: the reply does not carry usable metrics.
    """
    return LocalEvaluation(*_read_metrics(_content(message)))


def _content(message: Message) -> RecordDict:
    if not message.has_content():
        raise _malformed("it carries an error")
    return message.content


def _metric_record(weight: float, metrics: Mapping[str, float]) -> MetricRecord:
    _check_metrics(weight, metrics)
    return MetricRecord({WEIGHT: float(weight), **{name: float(value) for name, value in metrics.items()}})


def _read_metrics(content: RecordDict) -> tuple[float, dict[str, float]]:
    record = content.metric_records.get(METRICS)
    if record is None or len(content.metric_records) != 1:
        raise _malformed("it needs one record of metrics")
    numbers: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, list):
            raise _malformed(f"metric {name!r} is a list")
        numbers[name] = float(value)
    weight = numbers.pop(WEIGHT, 0.0)
    _check_metrics(weight, numbers)
    return weight, numbers


def _check_change(change: Vector) -> None:
    if change.dtype != np.float32 or change.ndim != 1 or not change.size:
        raise _malformed(f"a change is a vector of float32, not {change.dtype} of shape {change.shape}")
    if not np.isfinite(change).all():
        raise _malformed("a change holds a number that is not finite")


def _check_metrics(weight: float, metrics: Mapping[str, float]) -> None:
    if not 0.0 < weight <= WEIGHT_MAX:
        raise _malformed(f"the weight {weight!r} is not above 0 and at most {WEIGHT_MAX:.0f}")
    if len(metrics) > METRICS_MAX or WEIGHT in metrics:
        raise _malformed(f"at most {METRICS_MAX} metrics, none of them called {WEIGHT!r}")
    if odd := [name for name, value in metrics.items() if not math.isfinite(value)]:
        raise _malformed(f"metrics {', '.join(sorted(odd))} are not finite")


def _malformed(what: str) -> InvalidInputError:
    return InvalidInputError(f"a learning message is malformed: {what}", reason="LEARNING_MESSAGE_MALFORMED")
