"""What other trackers call statuses and priorities. Words are compared after `normalise`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weftmesh.core.board.model import Priority, Status


def normalise(word: str) -> str:
    """Case, outer blanks, the kind of apostrophe and the kind of word separator do not matter."""
    return " ".join(word.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("_", " ").casefold().split())


_STATUS_WORDS: Final = {
    Status.TODO: "todo; to do; open; new; backlog; reopened; selected for development; ready; ready for development; "
    "triage; planned; pending",
    Status.DOING: "doing; in progress; in review; in development; code review; review; in testing; testing; in qa; "
    "started",
    Status.BLOCKED: "blocked; impeded; on hold; waiting",
    Status.DONE: "done; closed; resolved; complete; completed; accepted; fixed; finished; released; implemented; "
    "answered",
    Status.CANCELLED: "cancelled; canceled; won't fix; wont fix; won't do; wont do; invalid; duplicate; rejected; "
    "declined; abandoned; obsolete; cannot reproduce; not a bug; works as designed; incomplete",
}

_PRIORITY_WORDS: Final = {
    Priority.NONE: "none; unprioritized; not set; no priority",
    Priority.LOW: "low; lowest; minor; trivial",
    Priority.NORMAL: "normal; medium; moderate",
    Priority.HIGH: "high; major",
    Priority.URGENT: "urgent; highest; critical; blocker",
}

STATUSES: Final[Mapping[str, Status]] = {w: s for s, words in _STATUS_WORDS.items() for w in words.split("; ")}
PRIORITIES: Final[Mapping[str, Priority]] = {w: p for p, words in _PRIORITY_WORDS.items() for w in words.split("; ")}
