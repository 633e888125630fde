"""Threads for questions that may never be answered."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import CancelledError

import pytest
from tests.unit.runtime.test_worker_threads import no_further_thread

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.daemon_threads import DaemonThreads

ENDING = {
    "accounts": """
import asyncio, threading
from weftmesh.agent.serving.accounts import Accounts
async def main():
    found = Accounts(lambda uid, gid: threading.Event().wait(), wait_s=0.1)
    found.arrive(70_001, 70_001)
    await found.acquaint(70_001, 70_001)
    found.close()
asyncio.run(main())
""",
    "names": """
import asyncio, threading
from weftmesh.router.probing.names import Names
async def main():
    found = Names(lambda host, port: threading.Event().wait())
    try:
        await asyncio.wait_for(found.find("name.invalid:80"), 0.1)
    except TimeoutError:
        found.close()
asyncio.run(main())
""",
}


@pytest.mark.parametrize("who", ENDING)
def test_a_process_ends_while_a_question_is_not_answered(who: str) -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING[who]], capture_output=True, timeout=20, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_what_is_asked_is_answered_or_raised() -> None:
    threads = DaemonThreads(2, "asking")
    with no_further_thread():
        assert threads.submit(divmod, 7, 2).result(10) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            threads.submit(divmod, 7, 0).result(10)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(int)


def test_what_has_not_begun_when_it_ends_is_cancelled() -> None:
    threads, begun, answers = DaemonThreads(1, "asking"), threading.Event(), threading.Event()

    def ask() -> bool:
        begun.set()
        return answers.wait(10)

    first, second = threads.submit(ask), threads.submit(int)
    assert begun.wait(10)
    threads.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(CancelledError):
        second.result(10)
    answers.set()
    assert first.result(10)
    threads.shutdown()


def test_where_none_can_be_started_it_says_which_limit_to_raise() -> None:
    with no_further_thread(), pytest.raises(PreconditionError, match="TasksMax"):
        DaemonThreads(2, "late")
