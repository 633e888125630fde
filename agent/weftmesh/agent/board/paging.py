"""Pages of listings: how large one is, where the next begins, and how long a search may hold the others up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.message import Message

from weftmesh.agent.board.homes import Home
from weftmesh.core.board.model import Task
from weftmesh.core.board.reading import Cursor, Predicate
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire.page_tokens import PageToken, decode_page_token, encode_page_token

PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000
PAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""A page ends short beyond it, with a token to go on: a message carries 4 MiB, and one item is well below 2."""
SCAN_TASKS_MAX: Final = 2_000
"""Tasks looked at before others get their turn on the event loop."""
SCANS_MAX: Final = 100
"""Turns a page takes; a filter that matches less than this finds ends the page short, with a token to go on."""

Item = TypeVar("Item", bound=Message)


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """What one ListTasks call asks for."""

    project_id: str | None
    predicate: Predicate | None
    limit: int
    at_revision: int
    show_deleted: bool

    async def page(self, home: Home, after: Cursor | None) -> tuple[list[Task], Cursor | None, int]:
        """Tasks of one page, where the next begins, and the revision; takes turns with everybody else on the loop."""
        board = home.board
        found: list[Task] = []
        for _ in range(SCANS_MAX):
            page = board.list_tasks(
                self.project_id,
                self.predicate,
                after=after,
                limit=self.limit - len(found),
                at_revision=self.at_revision,
                show_deleted=self.show_deleted,
                scan_limit=SCAN_TASKS_MAX,
            )
            found += page.tasks
            after = page.next_cursor
            if after is None or len(found) >= self.limit:
                break
            await asyncio.sleep(0)
        return found, after, page.revision


def cursor(page_token: str, method: str, parent: str, bound: str) -> Cursor | None:
    """Where the page before ended."""
    token = decode_page_token(page_token, method, parent, bound)
    if token is None:
        return None
    created_revision, number = token.cursor.split(",")
    return Cursor(token.revision, int(created_revision), int(number))


def next_token(method: str, parent: str, bound: str, follow: Cursor | None) -> str:
    """The token of the next page; empty on the last."""
    if follow is None:
        return ""
    return encode_page_token(
        PageToken(method, parent, bound, follow.revision, f"{follow.created_revision},{follow.number}")
    )


def that_fit(items: Iterable[Item]) -> list[Item]:
    """As many messages from the first on as one answer carries; at least one, if there is one."""
    fit: list[Item] = []
    left_bytes = PAGE_BYTES_MAX
    for item in items:
        left_bytes -= item.ByteSize()
        if left_bytes < 0 and fit:
            break
        fit.append(item)
    return fit


def page_size(asked: int) -> int:
    """How many items a page has.

    Raises:
        InvalidInputError: a negative number of them is asked for.
    """
    if asked < 0:
        raise InvalidInputError(f"page_size is {asked}; it must be 0 (for {PAGE_SIZE_DEFAULT}) to {PAGE_SIZE_MAX}")
    return min(asked or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
