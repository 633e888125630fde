"""Bringing the core's answers to those who wait for them."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from weftmesh.core.errors import WeftmeshError

_Result = TypeVar("_Result")


def settle(outcome: asyncio.Future[_Result], result: _Result | WeftmeshError) -> None:
    """Give a waiter its result or its error, unless it has left or was answered."""
    if outcome.done():
        return
    if not isinstance(result, WeftmeshError):
        outcome.set_result(result)
    else:
        outcome.set_exception(result)
        outcome.exception()  # whoever waited may have left: then nobody retrieves it, which is no defect
