"""The first answer to each request id, so that a retry, after a failover too, is answered and not applied again.

Bounded by count, by age in revisions and by the text it holds; never by a clock, so that replicas forget alike.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from weftmesh.core.board.dismantling import emptied
from weftmesh.core.board.hashing import request_hash
from weftmesh.core.board.model import Limits
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.board.state import RememberedRequest


class RequestMemory:
    """Remembered requests, oldest first."""

    def __init__(self, entries: Iterable[RememberedRequest] = ()) -> None:
        self._entries = {entry.request_id: entry for entry in entries}
        # The first key of a dict whose front was deleted is found by a search: 20 us when the memory is full.
        self._oldest_first = deque(self._entries.values())
        self._text_characters = sum(map(_text_characters, self))

    def __iter__(self) -> Iterator[RememberedRequest]:
        return iter(self._oldest_first)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, request_id: bytes) -> RememberedRequest | None:
        """What was answered to `request_id`."""
        return self._entries.get(request_id)

    def remember(self, request_id: bytes, digest: int, outcome: Outcome, revision: int) -> int:
        """Keeps a first answer; returns the hash of its row."""
        entry = RememberedRequest(request_id, digest, outcome, revision)
        self._entries[request_id] = entry
        self._oldest_first.append(entry)
        self._text_characters += _text_characters(entry)
        return request_hash(entry)

    def forget_old(self, revision: int) -> int:
        """Drops what is beyond the limits at `revision`; returns the sum of the hashes of the dropped rows."""
        dropped = 0
        while self.is_beyond_limits(revision):
            oldest = self._oldest_first.popleft()
            del self._entries[oldest.request_id]
            self._text_characters -= _text_characters(oldest)
            dropped += request_hash(oldest)
        return dropped

    def dismantle(self) -> Iterator[None]:
        """Lets go of what nobody asks for any more, a little at each step."""
        return emptied(self._entries)

    def is_beyond_limits(self, revision: int) -> bool:
        """Whether the oldest request has to go at `revision`."""
        if not self._oldest_first:
            return False
        return (
            len(self._oldest_first) > Limits.REQUESTS_REMEMBERED
            or self._oldest_first[0].order + Limits.REQUESTS_REMEMBERED < revision
            or self._text_characters > Limits.REQUEST_TEXT_CHARACTERS
        )


def _text_characters(entry: RememberedRequest) -> int:
    """Without the message, which may differ between releases, and names no more than the paths do."""
    outcome = entry.outcome
    if not outcome.collisions and not outcome.mergeable_paths:
        return 0
    characters = sum(map(len, outcome.mergeable_paths))
    for one in outcome.collisions:
        characters += len(one.path)
        characters += sum([len(value) for value in (one.base, one.yours, one.theirs) if isinstance(value, str)])
    return characters
