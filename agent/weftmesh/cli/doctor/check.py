"""Runs checks side by side, each within its own time, so that nothing that hangs holds up the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from weftmesh.cli.doctor.findings import Finding, Severity
from weftmesh.core.errors import WeftmeshError

DEADLINE_S: Final = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at."""

    name: str
    run: Callable[[], Awaitable[Sequence[Finding]]]
    deadline_s: float = DEADLINE_S
    late: Severity = Severity.UNKNOWN
    """What it means when the time is up."""


async def run_all(checks: Sequence[Check]) -> list[Finding]:
    """What all of them find, in the order of the checks; returns when the last one ended or its time was up."""
    found = await asyncio.gather(*(_run(check) for check in checks))
    return [finding for findings in found for finding in findings]


async def _run(check: Check) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(check.deadline_s):
            return await check.run()
    except TimeoutError:
        evidence = f"no result in {check.deadline_s:g} s"
        return [Finding(check.name, check.late, "the check did not end in its time", evidence)]
    except PermissionError as error:
        evidence = f"{error.strerror}: {error.filename}; run the command as root or as the node's user"
        return [Finding(check.name, Severity.UNKNOWN, "this user may not look", evidence)]
    except Exception as error:  # noqa: BLE001, what one check trips over must not hide what the others find
        said = str(error) if isinstance(error, WeftmeshError | OSError) else f"{type(error).__name__}: {error}"
        return [Finding(check.name, Severity.UNKNOWN, "the check could not be carried out", said)]


async def in_thread(function: Callable[[], T]) -> T:
    """What `function`, which blocks, returns or raises; it runs in a thread that nobody waits for at exit.

    asyncio's own threads are joined when the process ends: one that is stuck in a dead disk would keep it for ever.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if answer.done():
            return  # its time was up
        if error is None:
            answer.set_result(result)  # type: ignore[arg-type]  # without an error there is a result
        else:
            answer.set_exception(error)

    def body() -> None:
        result, failure = None, None
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001, it is raised where the answer is awaited
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            return  # the loop has ended, and with it whoever asked

    threading.Thread(target=body, daemon=True).start()
    return await answer
