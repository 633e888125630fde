"""One process at a time in a state directory."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.files import make_private_directory


@contextmanager
def only_one(state_dir: Path, what: str, advice: str) -> Iterator[None]:
    """Keep other processes of a kind out of their state directory while the block runs.

    Args:
        state_dir: made where it is missing.
        what: the kind, for the message: "router".
        advice: what to do beside ending the other one.

    Raises:
        PreconditionError: another one is there.
    """
    make_private_directory(state_dir)
    with (state_dir / "lock").open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PreconditionError(
                f"another {what} uses {state_dir}; end that one, or {advice}", reason=f"{what.upper()}_RUNS"
            ) from None
        yield
