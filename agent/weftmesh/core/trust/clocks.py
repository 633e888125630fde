"""Whether a clock may date certificates: those made by one that is far ahead are not in force yet anywhere else."""

from __future__ import annotations

from collections.abc import Mapping


def who_disagrees(ahead_s: Mapping[str, float], bears_s: float) -> list[str]:
    """Nodes by whose clocks this one is wrong, sorted by name; nobody unless they are most of those that told.

    One clock of many that is wrong is that node's own trouble. Of two nobody knows which one is, and a certificate has
    to be in force by both.

    Args:
        ahead_s: this node's clock minus that of each node that told.
        bears_s: what a certificate bears with.
    """
    apart = sorted(node for node, by_s in ahead_s.items() if abs(by_s) > bears_s)
    return apart if 2 * len(apart) > len(ahead_s) else []
