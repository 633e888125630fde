"""How a child says why it ended."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
"""There is nothing left to do."""
FAILED: Final = 1
"""Rounds failed, or something was given up: try again later."""
STOPPED: Final = 3
"""The duty is over."""
