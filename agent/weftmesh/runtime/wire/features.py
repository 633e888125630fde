"""The feature level in the log and in snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError

from weftmesh.core.board.commands import Header
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.core.features.levels import FIRST_LEVEL, check_supported
from weftmesh.core.features.machine import FeatureLevel, LevelRaised, RaiseLevel
from weftmesh.mesh.v1 import features_pb2
from weftmesh.runtime.wire.machine_rows import BOARD, FEATURES, RowSorter


def encode_features_command(command: RaiseLevel) -> features_pb2.FeaturesCommand:
    """Return `command` as a message."""
    return features_pb2.FeaturesCommand(
        actor=command.header.actor,
        stamp=command.header.stamp,
        raise_level=features_pb2.RaiseLevel(level=command.level, members=command.members),
    )


def decode_features_command(message: features_pb2.FeaturesCommand) -> RaiseLevel:
    """Return the command that `message` holds.

    Raises:
        InvalidInputError: this version cannot read it.
    """
    if message.WhichOneof("kind") is None:
        raise InvalidInputError("a command about the feature level is of no kind this version knows; upgrade this node")
    raising = message.raise_level
    return RaiseLevel(Header(message.actor, message.stamp), raising.level, tuple(raising.members))


def features_rows(state: Iterable[LevelRaised]) -> Iterator[bytes]:
    """Yield each row of `state`, serialized; an empty one makes none."""
    for raised in state:
        row = features_pb2.FeaturesRow(
            level=raised.level, members=raised.members, actor=raised.actor, stamp=raised.stamp
        )
        yield row.SerializeToString(deterministic=True)


def level_of_rows(rows: Iterable[bytes]) -> int:
    """The feature level of a snapshot, which needs its first rows only; also one that this build does not support.

    Args:
        rows: of all machines, as they stand in the snapshot.

    Raises:
        DataCorruptionError: a row before the board's does not parse.
    """
    sorter = RowSorter(rows)
    next(iter(sorter.rows_of(BOARD)), None)
    return max((_parsed(row).level for row in sorter.rows_of(FEATURES)), default=FIRST_LEVEL)


def features_from_rows(rows: Iterable[bytes]) -> FeatureLevel:
    """Return the machine whose rows these are; an empty one when there are none.

    Raises:
        DataCorruptionError: a row does not parse or does not fit.
        UnsupportedLevelError: the level is beyond what this build supports.
    """
    return _thaw([_row(data) for data in rows])


def _row(data: bytes) -> LevelRaised:
    row = _parsed(data)
    check_supported(row.level, "this state")
    return LevelRaised(row.level, tuple(row.members), row.actor, row.stamp)


def _parsed(data: bytes) -> features_pb2.FeaturesRow:
    try:
        return features_pb2.FeaturesRow.FromString(data)
    except DecodeError as error:
        raise _damaged(str(error)) from error


def _thaw(rows: list[LevelRaised]) -> FeatureLevel:
    try:
        return FeatureLevel.thaw(rows)
    except ValueError as error:
        raise _damaged(str(error)) from error


def _damaged(found: str) -> DataCorruptionError:
    return DataCorruptionError(f"the rows of the feature level are damaged ({found}); restore the node from its peers")
