"""What happened in the newest rounds, in words, for people and for failing tests."""

from __future__ import annotations

from collections import deque
from typing import Final

ROUNDS_MAX: Final = 16
LINES_MAX: Final = 200


class Diary:
    """Lines by round; the oldest rounds, and the oldest lines of a round, are forgotten."""

    def __init__(self) -> None:
        self._rounds: dict[bytes, deque[str]] = {}

    def note(self, round_id: bytes, now_s: float, line: str) -> None:
        """Adds a line to a round."""
        if round_id not in self._rounds:
            if len(self._rounds) >= ROUNDS_MAX:
                del self._rounds[next(iter(self._rounds))]
            self._rounds[round_id] = deque(maxlen=LINES_MAX)
        self._rounds[round_id].append(f"{now_s:.3f} s: {line}")

    def story(self, round_id: bytes) -> str:
        """The lines of a round, oldest first."""
        return "\n".join(self._rounds.get(round_id, [f"round {round_id.hex()}: nothing is known of it"]))
