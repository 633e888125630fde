"""What a node signs when it confirms a window: the same bytes for the same counts, agreements and workflows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from weftmesh.core.encoding import Value, encode
from weftmesh.core.ola.replicated.rows import ConfirmedAgreement, ObjectiveCount

STATEMENT_LABEL: Final = "weftmesh ola window v1"
"""The first field, which no other kind of statement has."""


def window_statement(
    cluster: str,
    node: str,
    starts_s: int,
    agreements: Iterable[ConfirmedAgreement],
    counts: Iterable[ObjectiveCount],
) -> bytes:
    """The canonical bytes that `node` signs for its window.

    Args:
        cluster: the mesh.
        node: whose window it is.
        starts_s: of the window, Unix seconds.
        agreements: by which generation, and by which workflow, each agreement was judged.
        counts: what the node recorded.
    """
    judged: list[Value] = [
        part for one in sorted(agreements, key=_name) for part in (one.name, one.generation, one.workflow)
    ]
    counted: list[Value] = [
        part for one in sorted(counts, key=_place) for part in (one.name, one.objective, one.good, one.total)
    ]
    return encode(STATEMENT_LABEL, cluster, node, starts_s, len(judged), *judged, len(counted), *counted)


def _name(one: ConfirmedAgreement) -> str:
    return one.name


def _place(one: ObjectiveCount) -> tuple[str, str]:
    return one.name, one.objective
