"""Flower knows nodes by 64-bit numbers: those of a mesh are made from names, alike on every node and at any time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

from weftmesh.core.errors import InvalidInputError

RESERVED: Final = frozenset({0, 1})
"""Nobody, and the coordinator itself."""
NODES_MAX: Final = 1_024


def number_of(node: str) -> int:
    """The number of a node: the first 64 bits of SHA-256 over a prefix and its name, below 2^63 for signed fields."""
    digest = hashlib.sha256(b"weftmesh node\0" + node.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class NodeNumbers:
    """Names and numbers of the nodes of one round, either way.

    Args:
        nodes: names, at most NODES_MAX of them, each once.
        number: how a name becomes a number.

    Raises:
        InvalidInputError: too many nodes, a name twice, or two names with one number.
    """

    def __init__(self, nodes: Iterable[str], number: Callable[[str], int] = number_of) -> None:
        self._names: dict[int, str] = {}
        for node in nodes:
            one = number(node)
            if one in self._names:
                raise InvalidInputError(
                    f"nodes {self._names[one]!r} and {node!r} have one number in Flower: leave one out, or rename it",
                    reason="NODE_NUMBER_TAKEN",
                )
            if one in RESERVED:
                raise InvalidInputError(f"node {node!r} has a reserved number: rename it", reason="NODE_NUMBER_TAKEN")
            self._names[one] = node
        if len(self._names) > NODES_MAX:
            raise InvalidInputError(f"{len(self._names)} nodes are more than {NODES_MAX} in one round")

    def numbers(self) -> list[int]:
        """Every number, ascending, so that sums over nodes come out alike each time."""
        return sorted(self._names)

    def name(self, number: int) -> str:
        """The node with this number.

        Raises:
            InvalidInputError: no node of this round has it.
        """
        try:
            return self._names[number]
        except KeyError:
            raise InvalidInputError(f"no node of this round has the number {number}") from None
