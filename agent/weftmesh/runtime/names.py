"""The one form of a node's and a cluster's name: a DNS label, because certificates carry both in a DNS name."""

from __future__ import annotations

import re
from typing import Final

from weftmesh.core.errors import InvalidInputError

NAME_PATTERN: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAME_ALLOWED: Final = "1 to 63 of a-z, 0-9 and '-', which neither begins nor ends it"


def check_name(name: str, *, what: str) -> str:
    """Return `name` if it is a DNS label (RFC 1035 2.3.1, digits first allowed by RFC 1123 2.1).

    Raises:
        InvalidInputError: it is not; `what` says which name it was.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise InvalidInputError(f"{what} {name!r} is not a valid name: use {NAME_ALLOWED}", reason="NAME_INVALID")
    return name
