"""The formats of what a node keeps, and the refusal of later ones.

Most files say in themselves which format they are of. All of them have their number in DATA/formats.json as well, which
a node reads before it opens anything and writes when it starts: an earlier build refuses to start on it, by the name of
the file. A build learns to read a format before one writes it, so that a node can go back to the build before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from weftmesh.core.errors import DataCorruptionError, PreconditionError
from weftmesh.runtime.files import write_atomic

FILE_NAME: Final = "formats.json"
FORMAT: Final = 1
"""Of formats.json itself."""


class Format(NamedTuple):
    """Of one file, or of all in a directory."""

    writes: int = 1
    reads: int = 1
    """The newest that this build understands."""


FORMATS: Final[Mapping[str, Format]] = {
    "node.json": Format(),
    "seeds.json": Format(),
    "identity": Format(),
    "identity/tokens.json": Format(),
    "mesh/wal": Format(),
    "mesh/snapshots": Format(),
    "local/wal": Format(),
    "local/snapshots": Format(),
    "offline": Format(),
    "acknowledged": Format(),
    "egress": Format(),
    "audit": Format(),
    "roles": Format(),
    "models": Format(),
    "router": Format(),
    "abandoned.json": Format(),
    "removed.json": Format(),
    "last-backup": Format(),
}
"""By path under the data directory; a directory stands for all its files."""


class UnsupportedFormatError(PreconditionError):
    """A file is of a later format than this build reads; nothing was changed."""

    reason = "UPGRADE_NEEDED"


def check_format(what: Path | str, found: int, known: int) -> None:
    """Refuse a later format.

    Args:
        what: the file, to begin a sentence with.
        found: its format.
        known: the newest that this build reads.

    Raises:
        UnsupportedFormatError: it is later.
    """
    if found > known:
        raise UnsupportedFormatError(
            f"{what} is of format {found}, and this build reads {known}: install the version of weftmesh that wrote "
            "it, or a later one, and start again. Nothing was changed"
        )


def check_formats(data_dir: Path) -> None:
    """Refuse a data directory in which a file is of a later format; one that says nothing is of the first formats.

    Raises:
        UnsupportedFormatError: names the file.
        DataCorruptionError: formats.json is damaged.
    """
    for name, found in _read(data_dir / FILE_NAME).items():
        # What this build does not know it does not open.
        check_format(data_dir / name, found, FORMATS[name].reads if name in FORMATS else found)


def note_formats(data_dir: Path) -> None:
    """Write down what this build writes, unless that is what stands there; what it does not know stays noted.

    Raises:
        OSError: the disk does not take it.
    """
    path = data_dir / FILE_NAME
    found = _read(path)
    wanted = found | {name: each.writes for name, each in FORMATS.items()}
    if wanted != found:
        write_atomic(path, json.dumps({"format": FORMAT, "files": wanted}, indent=1, sort_keys=True).encode() + b"\n")


def _read(path: Path) -> dict[str, int]:
    try:
        document = json.loads(path.read_bytes())
        check_format(path, int(document["format"]), FORMAT)
        return {str(name): int(number) for name, number in document["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataCorruptionError(
            f"{path} cannot be read ({error!r}); if this node was never run by a later build, remove the file and "
            "start again: it is written anew"
        ) from error
