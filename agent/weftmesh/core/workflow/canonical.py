"""The same steps are the same bytes, and so the same hash: on every machine, in every version of Python."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from weftmesh.core.workflow.model import Step

_FORMAT: Final = "weftmesh workflow 1"
"""Another number for another form, so that hashes of two forms never meet."""


def canonical_bytes(steps: Iterable[Step]) -> bytes:
    """One line of JSON a step, by id, in ASCII and without spaces."""
    lines = [
        json.dumps(
            [step.id, int(step.kind), step.agreement, step.subject, step.needs, step.settings], separators=(",", ":")
        )
        for step in sorted(steps, key=lambda one: one.id)
    ]
    return "\n".join([_FORMAT, *lines, ""]).encode()


def steps_sha256(steps: Iterable[Step]) -> str:
    """In hex, over the canonical bytes."""
    return hashlib.sha256(canonical_bytes(steps)).hexdigest()
