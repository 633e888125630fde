"""What is replicated: registers that can be read, written and swapped, and a digest of every command so far."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from weftmesh.agent.raft.engine import Swap
from weftmesh.core.features.levels import FIRST_LEVEL

SEPARATOR = b"\x1f"
NO_VALUE = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One change of one register. Each has an identity of its own: none is the same write twice."""

    identity: int
    kind: str
    """write or cas."""
    key: str
    expected: str
    """Of a cas."""
    value: str

    def encode(self) -> bytes:
        """For the log."""
        return SEPARATOR.join(
            part.encode() for part in (str(self.identity), self.kind, self.key, self.expected, self.value)
        )


def decode(data: bytes) -> Command:
    """The command of an entry."""
    identity, kind, key, expected, value = (part.decode() for part in data.split(SEPARATOR))
    return Command(int(identity), kind, key, expected, value)


class Observer(Protocol):
    """Sees what the machines do."""

    def applied(self, machine: Registers, index: int, command: Command) -> None:
        """A command took effect."""

    def restored(self, machine: Registers) -> None:
        """A snapshot replaced the state."""


class Registers:
    """A `StateMachine`."""

    def __init__(self, observer: Observer | None, owner: str) -> None:
        self.owner = owner
        self.index = 0
        """Of the last command."""
        self.digest = b""
        """Of all commands, their indexes and their fences, in order."""
        self.values: dict[str, str] = {}
        self.identities: set[int] = set()
        self._observer = observer

    def apply(self, index: int, command: bytes, commit_time_us: int, *, level: int = FIRST_LEVEL) -> Any:
        """The outcome is the identity, and whether anything was changed."""
        parsed = decode(command)
        swaps = parsed.kind == "write" or self.values.get(parsed.key, NO_VALUE) == parsed.expected
        if swaps:
            self.values[parsed.key] = parsed.value
        self.digest = hashlib.blake2b(self.digest + b"%d %d " % (index, level) + command, digest_size=16).digest()
        previous, self.index = self.index, index
        if previous >= index:
            raise AssertionError(f"{self.owner} applies {index} after {previous}")
        if self._observer is not None:
            self._observer.applied(self, index, parsed)
        self.identities.add(parsed.identity)
        return parsed.identity, swaps

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """The head, then one row a register, then the identities in pieces."""
        head = b"%d " % self.index + self.digest
        values = [SEPARATOR.join((key.encode(), value.encode())) for key, value in sorted(self.values.items())]
        identities = b" ".join(b"%d" % identity for identity in sorted(self.identities))
        return lambda: iter([head, identities, *values])

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Read everything now, replace everything when it is called."""
        head, identities, *values = rows
        index, digest = head.split(b" ", 1)
        pairs = dict(row.decode().split(SEPARATOR.decode()) for row in values)

        def swap() -> Iterator[None]:
            self.index, self.digest, self.values = int(index), digest, pairs
            self.identities = {int(identity) for identity in identities.split()}
            if self._observer is not None:
                self._observer.restored(self)
            return iter(())

        return swap

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_observer": None}

    @property
    def is_watched(self) -> bool:
        """Not after it was made from a snapshot of the original core."""
        return self._observer is not None

    def watch(self, observer: Observer) -> None:
        """It was made from a snapshot of the original core."""
        self._observer = observer
        observer.restored(self)
