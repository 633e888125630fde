"""How issues of GitHub are called: the repository of an issue, its origin, and the project it goes to."""

from __future__ import annotations

import re
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ids import is_project_id

NAME: Final = "github"
"""The prefix of origins: github:owner/repo#12."""

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}")
_ISSUE_PATH: Final = re.compile(r"/([^/]+/[^/]+)/(?:issues|pull|pulls|discussions)/(\d{1,9})(?:[/?#]|$)")
_ORIGIN: Final = re.compile(rf"{NAME}:([^#]+)#(\d{{1,9}})")
_NOT_IN_AN_ID: Final = re.compile(r"[^A-Z0-9_]+")
_ID_CHARACTERS: Final = 16


def check_repository(text: str) -> str:
    """`text`, if it is OWNER/NAME.

    Raises:
        InvalidInputError: it is not.
    """
    if _REPOSITORY.fullmatch(text) is None:
        raise InvalidInputError(f"{text[:80]!r} is not a repository; write OWNER/NAME, such as acme/pump")
    return text


def is_repository(text: str) -> bool:
    """Whether `text` is OWNER/NAME."""
    return _REPOSITORY.fullmatch(text) is not None


def repository_of_url(url: str) -> str:
    """OWNER/NAME in the address of an issue, of a page or of the API; empty when it has none."""
    match = _ISSUE_PATH.search(url)
    return match[1] if match and is_repository(match[1]) else ""


def number_of_url(url: str) -> int:
    """The number in the address of an issue; 0 when it has none."""
    match = _ISSUE_PATH.search(url)
    return int(match[2]) if match else 0


def origin_of(repository: str, number: int) -> str:
    """Such as github:acme/pump#12."""
    return f"{NAME}:{repository}#{number}"


def split_origin(origin: str) -> tuple[str, int] | None:
    """The repository and number of an origin; None for another tracker's."""
    match = _ORIGIN.fullmatch(origin)
    return (match[1], int(match[2])) if match and is_repository(match[1]) else None


def project_of(name: str) -> str:
    """The id of a project for what another tracker calls `name`; empty when no id can be made of it."""
    plain = _NOT_IN_AN_ID.sub("_", name.upper()).strip("_")[:_ID_CHARACTERS].rstrip("_")
    return plain if is_project_id(plain) else ""
