"""Where the nodes of a mesh are put: each kind of fault needs surroundings of its own."""

from __future__ import annotations

from typing import Protocol

from weftmesh.cli.dev_node import DevNode


class Site(Protocol):
    """Surroundings that are made for one mesh and removed after it."""

    def place(self, node: DevNode) -> None:
        """Give a node that is about to be made its place."""

    def close(self) -> None:
        """Remove everything that was made; the nodes do not run any more."""


class Loopback:
    """Nothing special."""

    def __init__(self, count: int) -> None:
        """Every site is made for so many nodes."""

    def place(self, node: DevNode) -> None:
        """Leave it where it is."""

    def close(self) -> None:
        """There is nothing to remove."""
