"""Every bound of the client library, in one place."""

from __future__ import annotations

from typing import Final

CALL_TIMEOUT_S: Final = 10.0
"""For a call whose caller names none; retries happen inside it."""


def whole_s(timeout_s: float | None) -> float:
    """How long a call may take in all."""
    return CALL_TIMEOUT_S if timeout_s is None else timeout_s


CONNECT_TIMEOUT_S: Final = 5.0
"""To reach a node that is up; one that refuses is reported at once."""

RETRY_PAUSE_FIRST_S: Final = 0.05
RETRY_PAUSE_MAX_S: Final = 1.0
"""Pauses double up to this; each is shortened by up to half at random, so that clients do not come back together."""
RETRY_SPREAD: Final = 0.25
"""Of what a node asks its callers to wait, so much longer at most: those that it refused together come back apart."""
RETRY_TIME_MIN_S: Final = 0.25
"""With less time left nothing is tried again: the caller's own deadline would end it, and hide what was known."""

WRITES_PER_BATCH_MAX: Final = 1_024
"""The protocol's bound on one message."""
BATCH_BYTES_MAX: Final = 1024 * 1024
"""Well below gRPC's 4 MiB a message."""
UNANSWERED_WRITES_MAX: Final = 8_192
"""Beyond it, `write` waits: the node's own queue is finite too."""
STREAM_FAILURES_MAX: Final = 120
"""Failures of the write stream in a row, without one answer between, before its writes are given up: two
minutes. A write's own timeout is usually shorter."""

WATCH_PROGRESS_S: Final = 10.0
"""How long a watch may be silent unless its caller asks otherwise."""
WATCH_SILENCE_FACTOR: Final = 3.0
"""A watch that is silent for this many progress intervals is opened again."""
WATCH_RECONNECT_S: Final = 60.0
"""How long a watch tries to come back before it raises."""

PAGE_SIZE: Final = 500
"""Items a page when a listing pages by itself."""
