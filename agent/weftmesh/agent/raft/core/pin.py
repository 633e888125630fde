"""Loads the one release of pysyncobj whose every line was read, and takes pickle out of its reach.

The hardening overrides private methods, so any other source may silently undo it: nothing is imported unless the
files are, byte for byte, the ones it was written against. Everything else imports pysyncobj through this module.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any, NoReturn

VERSION = "0.3.17"
SHA256 = {
    "syncobj.py": "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4",
    "version.py": "0b8426a8b52ecf874193897d26c4214acbd85335145ea9ff17e27a22b1132943",
    "journal.py": "9cf1eaf6acc704581a4cf7d3de330a404403913107adc91c929778b7e3f35edf",
    "node.py": "e4a3f027cd8291f558334bb9c977e952f6b6989e7e1fa1588d3005ef0b990e2c",
    "transport.py": "0c9d89f9c4781ec9772df8011d7975a1a4a1a5f541357e12eae85a813e92b50b",
    "serializer.py": "4d39fde2f15000ad8f507ec229ebd4f6a86371b6f84d4dc1439a9cccd52857ee",
    "pickle.py": "e9327780738065cec5d600484b936c91e7c13875206cb584d5ff7f5d0dc9c474",
}
"""What runs, and what is named below, of release VERSION."""


def verify(package: Path) -> None:
    """Compare the files of the package with SHA256.

    Raises:
        ImportError: a file is missing or differs.
    """
    for name, expected in SHA256.items():
        path = package / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"
        if found != expected:
            raise ImportError(
                f"{path} is not the file of pysyncobj {VERSION} that this program was hardened against "
                f"(sha256 {found}, expected {expected}); install pysyncobj=={VERSION}"
            )


def _package() -> Path:
    spec = importlib.util.find_spec("pysyncobj")
    if spec is None or spec.origin is None:
        raise ImportError(f"pysyncobj is not installed; install pysyncobj=={VERSION}")
    return Path(spec.origin).parent


class PickleForbiddenError(RuntimeError):
    """Code that was thought to be unreachable asked for pickle."""


class NoPickle:
    """Stands where a module imported pickle; every use of it raises."""

    def __getattr__(self, name: str) -> NoReturn:
        raise PickleForbiddenError(f"pickle.{name} is not available: nothing here may be pickled or unpickled")


def _forbidden(*_args: object, **_kwargs: object) -> NoReturn:
    raise PickleForbiddenError("nothing here may be pickled or unpickled")


verify(_package())

# after the check on purpose: not a line of an unknown release runs
from pysyncobj import journal, serializer, syncobj, tcp_connection  # noqa: E402
from pysyncobj import pickle as own_pickle  # noqa: E402
from pysyncobj.journal import Journal  # noqa: E402
from pysyncobj.node import Node  # noqa: E402
from pysyncobj.syncobj import SyncObj, SyncObjConf  # noqa: E402
from pysyncobj.transport import Transport  # noqa: E402

FOLLOWER: int = syncobj._RAFT_STATE.FOLLOWER
CANDIDATE: int = syncobj._RAFT_STATE.CANDIDATE
LEADER: int = syncobj._RAFT_STATE.LEADER
REGULAR = bytes([syncobj._COMMAND_TYPE.REGULAR])
NO_OP = bytes([syncobj._COMMAND_TYPE.NO_OP])


def _take_pickle_away() -> None:
    for module in (syncobj, serializer, tcp_connection):
        module.pickle = NoPickle()
    journal.loads = journal.dumps = _forbidden
    own_pickle.pickle = NoPickle()
    for name in ("load", "loads", "dump", "dumps"):
        setattr(own_pickle, name, _forbidden)


def _accept_journal_objects() -> None:
    """The constructor takes a journal by file name only; here an object passes through."""
    original = syncobj.createJournal

    def create(journal_or_path: Any) -> Any:
        return journal_or_path if isinstance(journal_or_path, Journal) else original(journal_or_path)

    syncobj.createJournal = create


def monotonic_s() -> float:
    """The clock that pysyncobj itself reads."""
    return float(syncobj.monotonicTime())


_take_pickle_away()
_accept_journal_objects()

__all__ = [
    "CANDIDATE",
    "FOLLOWER",
    "LEADER",
    "NO_OP",
    "REGULAR",
    "SHA256",
    "VERSION",
    "Journal",
    "NoPickle",
    "Node",
    "PickleForbiddenError",
    "SyncObj",
    "SyncObjConf",
    "Transport",
    "monotonic_s",
    "verify",
]
