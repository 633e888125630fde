from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from weftmesh.cli.doctor.check import Check, in_thread, run_all
from weftmesh.cli.doctor.findings import Finding, Severity
from weftmesh.core.errors import DataCorruptionError


def well(name: str) -> Finding:
    return Finding(name, Severity.OK, "fine", "")


async def test_checks_run_side_by_side_and_are_told_in_order() -> None:
    barrier = asyncio.Barrier(3)

    def meeting(name: str) -> Check:
        async def run() -> Sequence[Finding]:
            await barrier.wait()  # one after the other they would wait for ever
            return [well(name)]

        return Check(name, run)

    assert await run_all([meeting(name) for name in "abc"]) == [well(name) for name in "abc"]


async def test_a_check_that_hangs_ends_in_its_time_and_holds_up_nobody() -> None:
    never = threading.Event()

    async def hang() -> Sequence[Finding]:
        await in_thread(never.wait)
        return []

    async def answer() -> Sequence[Finding]:
        return [well("quick")]

    found = await run_all([Check("disk", hang, 0.05, Severity.FAILURE), Check("quick", answer)])
    assert [(one.check, one.severity) for one in found] == [("disk", Severity.FAILURE), ("quick", Severity.OK)]
    assert found[0].evidence == "no result in 0.05 s"
    never.set()


async def test_what_a_check_may_not_see_or_cannot_read_is_not_known() -> None:
    async def forbidden() -> Sequence[Finding]:
        raise PermissionError(13, "Permission denied", "/var/lib/weftmesh")

    async def damaged() -> Sequence[Finding]:
        raise DataCorruptionError("node.json is not JSON")

    async def mistaken() -> Sequence[Finding]:
        raise KeyError("mode")

    found = await run_all([Check("credentials", forbidden), Check("disk", damaged), Check("ports", mistaken)])
    assert [one.severity for one in found] == [Severity.UNKNOWN] * 3
    assert "/var/lib/weftmesh" in found[0].evidence
    assert found[1].evidence == "node.json is not JSON"
    assert found[2].evidence == "KeyError: 'mode'"


async def test_a_thread_gives_back_what_it_has_or_what_went_wrong() -> None:
    def fail() -> None:
        raise KeyError("what")

    assert await in_thread(lambda: 3) == 3
    caught = await asyncio.gather(in_thread(fail), return_exceptions=True)
    assert isinstance(caught[0], KeyError)
