"""What we rely on in Flower beyond its documented API; another release has to pass this before the bound is raised."""

from __future__ import annotations

import io
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime import flower
from weftmesh.runtime.flower import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
)
from weftmesh.runtime.training_messages import (
    ConfigValue,
    LocalUpdate,
    instruction,
    read_instruction,
    read_update,
    update_content,
)

NODE = 2**63 - 5


def instruct(content: RecordDict, kind: str = MessageType.TRAIN) -> Message:
    message = flower.instruct(content, kind, NODE, "round-7")
    flower.set_message_id(message, "42")
    return message


def with_array(array: Array) -> bytes:
    return flower.to_bytes(instruct(RecordDict({"arrays": ArrayRecord({"model": array})})))


def npy(array: NDArray[np.generic], *, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


class Bomb:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_the_installed_release_is_the_one_that_was_read() -> None:
    assert (flower.installed_release() or "").startswith("1.41.")


@pytest.mark.parametrize("release", ["1.42.0", "1.40.9", "1.4", "2.0.0", "1.410.0"])
def test_another_release_is_not_loaded(release: str) -> None:
    with pytest.raises(ImportError, match=r"is not of the series 1\.41"):
        flower.check_release(release)


def test_without_flower_the_message_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"install weftmesh\[learner\]"):
        flower.check_release(None)


def test_telemetry_is_off_before_flower_is_imported() -> None:
    program = (
        "import os, sys\n"
        "os.environ['FLWR_TELEMETRY_ENABLED'] = '1'\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'flwr':\n"
        "            print(os.environ['FLWR_TELEMETRY_ENABLED'])\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import weftmesh.runtime.flower\n"
        "from flwr.supercore import telemetry\n"
        "print(telemetry.FLWR_TELEMETRY_ENABLED)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "0"]


def test_flower_logs_errors_only_and_into_our_log() -> None:
    logger = logging.getLogger("flwr")
    assert not logger.handlers
    assert logger.propagate
    assert not logger.isEnabledFor(logging.WARNING)


def test_a_process_that_flower_runs_keeps_its_run_and_its_log() -> None:
    program = (
        "import logging\n"
        "from flwr.supercore.task_identity import TaskIdentity as task\n"
        "task.task_id, task.run_id, task.node_id = 7, 8, 9\n"
        "from weftmesh.runtime import flower\n"
        "print(task.task_id, task.run_id, task.node_id, len(logging.getLogger('flwr').handlers))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["7", "8", "9", "1"]


def test_an_instruction_survives_the_wire() -> None:
    config: dict[str, ConfigValue] = {"rate": 0.5, "steps": 5, "head": "effort", "raw": b"\0\1", "on": True}
    got = flower.from_bytes(flower.to_bytes(instruct(instruction(b"model bytes", config))))
    assert read_instruction(got) == (b"model bytes", config)
    assert got.metadata.message_type == MessageType.TRAIN
    assert (got.metadata.message_id, got.metadata.group_id) == ("42", "round-7")
    assert (got.metadata.src_node_id, got.metadata.dst_node_id) == (flower.COORDINATOR_NODE_ID, NODE)


def test_a_reply_refers_to_its_instruction() -> None:
    request = flower.from_bytes(flower.to_bytes(instruct(instruction(b"m", {}))))
    change = np.linspace(-1, 1, 7, dtype=np.float32)
    reply = flower.reply(update_content(LocalUpdate(change, 2.5, {"loss": 0.25})), request)
    got = flower.from_bytes(flower.to_bytes(reply))
    update = read_update(got)
    assert update.change.tobytes() == change.tobytes()
    assert (update.weight, update.metrics) == (2.5, {"loss": 0.25})
    assert (got.metadata.reply_to_message_id, got.metadata.src_node_id) == ("42", NODE)
    assert got.metadata.message_type == MessageType.TRAIN


def test_an_error_reply_survives_the_wire() -> None:
    got = flower.from_bytes(flower.to_bytes(flower.reply_error(2, "OUT_OF_MEMORY", instruct(RecordDict()))))
    assert got.has_error()
    assert (got.error.code, got.error.reason) == (2, "OUT_OF_MEMORY")
    assert got.metadata.reply_to_message_id == "42"
    with pytest.raises(InvalidInputError, match="carries an error"):
        read_update(got)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0, np.float32),
        np.arange(6, dtype=np.float64).reshape(2, 3),
        np.array(3.5, np.float32),
        np.arange(3, dtype=np.uint64),
    ],
)
def test_plain_numbers_arrive_as_they_were(array: NDArray[np.generic]) -> None:
    got = flower.from_bytes(with_array(Array(array)))
    arrived = got.content.array_records["arrays"]["model"].numpy()
    assert arrived.dtype == array.dtype
    np.testing.assert_array_equal(arrived, array)


def test_a_pickle_is_refused_and_never_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    objects = np.array([Bomb(mark)], dtype=object)
    for data in (npy(objects, allow_pickle=True), pickle.dumps(Bomb(mark))):
        for dtype in ("object", "float32"):
            with pytest.raises(InvalidInputError, match="malformed"):
                flower.from_bytes(with_array(Array(dtype, (1,), "numpy.ndarray", data)))
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists(), "the bomb works"


def zipped() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, a=np.zeros(1_000_000, np.float32))
    return file.getvalue()


def claiming(shape: str) -> bytes:
    """An .npy file of three numbers whose header speaks of another shape."""
    true = npy(np.zeros(3, np.float32))
    forged = true.replace(b"(3,), }" + b" " * (len(shape) - 4), f"{shape}, }}".encode())
    assert len(forged) == len(true)
    assert forged != true
    return forged


@pytest.mark.parametrize(
    "array",
    [
        Array("float32", (3,), "numpy.ndarray", zipped()),
        Array("float32", (3,), "numpy.ndarray", b""),
        Array("float32", (3,), "numpy.ndarray", npy(np.zeros(3, np.float32)) + b"\0"),
        Array("float32", (3,), "numpy.ndarray", npy(np.zeros(3, np.float32))[:-1]),
        Array("float32", (3,), "numpy.ndarray", npy(np.zeros(3, ">f4"))),
        Array("float32", (3,), "numpy.ndarray", npy(np.zeros(3, np.float64))),
        Array("float32", (4,), "numpy.ndarray", npy(np.zeros(3, np.float32))),
        Array("float32", (3,), "pickle", npy(np.zeros(3, np.float32))),
        Array("float32", (3,), "numpy.ndarray", npy(np.zeros(3, [("a", "f4")]))),
        Array("float32", (2, 3), "numpy.ndarray", npy(np.asfortranarray(np.zeros((2, 3), np.float32)))),
        Array("float32", (3,), "numpy.ndarray", claiming("(2147483647,)")),
        Array("float32", (2_147_483_647,), "numpy.ndarray", claiming("(2147483647,)")),
        Array("float32", (-3, -1), "numpy.ndarray", claiming("(-3, -1)")),
        Array("float32", (1,) * 9, "numpy.ndarray", npy(np.zeros((1,) * 9, np.float32))),
    ],
)
def test_an_array_that_is_not_what_it_says_is_refused(array: Array) -> None:
    with pytest.raises(InvalidInputError, match="malformed"):
        flower.from_bytes(with_array(array))


def test_a_message_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(InvalidInputError, match="1001 bytes exceeds 1000") as caught:
        flower.from_bytes(bytes(1001), size_bytes_max=1000)
    assert caught.value.reason == "LEARNING_MESSAGE_TOO_LARGE"


@given(st.binary(max_size=200))
def test_garbage_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInputError):
        flower.from_bytes(payload)


GOOD = flower.to_bytes(instruct(instruction(b"model", {"rate": 0.5, "head": "effort"})))


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_changed_byte_is_read_or_refused_but_never_worse(place: int, difference: int) -> None:
    damaged = bytearray(GOOD)
    damaged[place] ^= difference
    try:
        message = flower.from_bytes(bytes(damaged))
        read_instruction(message)
    except InvalidInputError:
        pass


@pytest.mark.parametrize(
    "update",
    [
        LocalUpdate(np.zeros(3, np.float32), 0.0),
        LocalUpdate(np.zeros(3, np.float32), -1.0),
        LocalUpdate(np.zeros(3, np.float32), float("nan")),
        LocalUpdate(np.zeros(3, np.float32), float("inf")),
        LocalUpdate(np.array([1, np.nan], np.float32), 1.0),
        LocalUpdate(np.array([1, np.inf], np.float32), 1.0),
        LocalUpdate(np.zeros((3, 1), np.float32), 1.0),
        LocalUpdate(np.zeros(0, np.float32), 1.0),
        LocalUpdate(np.zeros(3, np.float32), 1.0, {"loss": float("nan")}),
        LocalUpdate(np.zeros(3, np.float32), 1.0, {"weight": 2.0}),
        LocalUpdate(np.zeros(3, np.float32), 1.0, {f"m{number}": 0.0 for number in range(65)}),
    ],
)
def test_an_update_that_is_no_use_is_refused_on_both_sides(update: LocalUpdate) -> None:
    with pytest.raises(InvalidInputError, match="malformed"):
        update_content(update)
    forged = RecordDict(
        {
            "arrays": ArrayRecord({"change": Array(np.asarray(update.change))}),
            "metrics": MetricRecord({**update.metrics, "weight": update.weight}),
        }
    )
    if "weight" not in update.metrics:
        with pytest.raises(InvalidInputError, match="malformed"):
            read_update(flower.reply(forged, instruct(RecordDict())))


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"arrays": ArrayRecord({"model": Array(np.zeros(1, np.float32))}), "config": ConfigRecord()}),
        RecordDict({"arrays": ArrayRecord({"model": Array(np.zeros(1, np.uint8))})}),
        RecordDict(
            {
                "arrays": ArrayRecord({"model": Array(np.zeros(1, np.uint8))}),
                "config": ConfigRecord({"rates": [0.5, 0.25]}),
            }
        ),
    ],
)
def test_an_instruction_that_lacks_something_is_refused(content: RecordDict) -> None:
    with pytest.raises(InvalidInputError, match="malformed"):
        read_instruction(instruct(content))
