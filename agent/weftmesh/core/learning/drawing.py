"""Who is asked to a round when more nodes take part than one sum may have: drawn anew for each round, from its id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from weftmesh.core.learning.model import Limits

_LABEL: Final = b"weftmesh/draw"
"""Keeps these scores apart from any other use of the hash (`person` of BLAKE2b)."""
_SCORE_BYTES: Final = 16


def drawn(round_id: bytes, nodes: Iterable[str], most: int = Limits.CONTRIBUTORS) -> tuple[str, ...]:
    """The contributors of a round, sorted: all nodes, or of too many those with the lowest hashes of id and name.

    Whoever knows the id and the nodes draws the same. As ids are random, each node is drawn as often as any other.

    Args:
        round_id: of the round.
        nodes: names of those who may be asked, in any order.
        most: how many are drawn.
    """
    return tuple(sorted(sorted(nodes, key=lambda node: (_score(round_id, node), node))[:most]))


def _score(round_id: bytes, node: str) -> bytes:
    return hashlib.blake2b(round_id + node.encode(), digest_size=_SCORE_BYTES, person=_LABEL).digest()
