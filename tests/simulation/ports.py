"""What an engine on its disk has to offer to be simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tests.simulation.machine import Registers

from weftmesh.agent.raft.core.membership import Voters
from weftmesh.agent.raft.engine import Applied
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.core.features.levels import FIRST_LEVEL

if TYPE_CHECKING:
    from tests.simulation.node import Node


class Calls(Protocol):
    """What clients and operators call of a `RaftEngine`."""

    async def start(self) -> None: ...
    async def propose(self, command: bytes, timeout_s: float, *, level: int = FIRST_LEVEL) -> Applied: ...
    async def read_barrier(self, timeout_s: float) -> int: ...
    async def change_member(self, name: str, role: Any, address: str | None, timeout_s: float) -> None: ...
    async def transfer_leadership(self, timeout_s: float) -> bool: ...


class Core(Protocol):
    """One life of a process, as the invariants look into it."""

    @property
    def machine(self) -> Registers: ...
    @property
    def engine(self) -> Calls:
        """What clients call."""

    def deliver(self, sender: str, messages: Sequence[Any]) -> None:
        """Messages arrive together."""

    def link(self, peer: str, up: bool) -> None:
        """A stream to a peer came up or broke."""

    @property
    def leads(self) -> bool: ...
    @property
    def term(self) -> int: ...
    @property
    def commit(self) -> int: ...
    @property
    def applied(self) -> int: ...
    @property
    def voters(self) -> Mapping[str, str]: ...
    @property
    def first_index(self) -> int:
        """The first entry that its log holds."""

    @property
    def last_index(self) -> int: ...

    def entry(self, index: int) -> tuple[int, bytes]:
        """Term and payload of an entry that the log holds."""


class Disk(Protocol):
    """What is left when the process is gone."""

    reads: bool
    """Whether its engine has linearizable reads."""
    original: bool
    """Whether it is the original core, which needs pickle, and is spared what it has no feature for."""

    @property
    def unsynced(self) -> int:
        """Writes that a power cut may lose."""

    def boot(self, node: Node) -> Core:
        """Begin a life from what is there.

        Raises:
            DataCorruptionError: it does not verify.
        """

    def power_cut(self, keep: int) -> None:
        """Lose all but the first `keep` un-synced writes."""

    def has_durable(self, index: int, term: int) -> bool:
        """Whether a power cut now would leave this committed entry."""

    def damage(self, node: Node) -> None:
        """Flip a bit of what was synced."""

    def take_snapshot(self, node: Node) -> None:
        """Have the engine take one now."""

    def encode(self, message: Any) -> Any:
        """For the wire."""

    def decode(self, encoded: Any) -> Any:
        """From the wire."""

    def kind(self, encoded: Any) -> str:
        """The kind of a message."""


MakeDisk = Callable[[RaftSettings, Voters], Disk]
"""Settings of every life, and the voters of a cluster that is founded at once; none for a node that joins."""
