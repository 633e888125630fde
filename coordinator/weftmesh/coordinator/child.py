"""`python -m weftmesh.coordinator.child`: carries one job on in one term; alone in it, Flower and numpy are loaded.

Its parent holds its standard input open. When that closes, or this node's term is over, it ends at once: all that it
leaves half done is settled by whoever leads next, from the replicated state.
"""

from __future__ import annotations

import os

# One thread is what a node that has other work can spare; numpy reads this when it is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import asyncio
import secrets
import sys
import threading
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog
import uvloop

from weftmesh.client import Client, connect
from weftmesh.coordinator.courier import LeadershipLostError
from weftmesh.coordinator.exit_codes import DONE, FAILED, STOPPED
from weftmesh.coordinator.job_run import JobRun
from weftmesh.coordinator.mesh_rounds import Office
from weftmesh.core.errors import WeftmeshError
from weftmesh.runtime.telemetry import LEVELS, configure_logging

NICENESS: Final = 5
"""Between the board, which comes first, and the learners."""

log = structlog.get_logger("weftmesh.coordinator.child")


@dataclass(frozen=True, slots=True)
class ChildOptions:
    """What the parent asks for."""

    socket: str
    job: str
    term: int
    log_level: str
    log_format: str


def parse_arguments(arguments: Sequence[str] | None = None) -> ChildOptions:
    """Read the command line; ends the process with a usage message where it cannot."""
    parser = argparse.ArgumentParser(prog="python -m weftmesh.coordinator.child", description="Carries one job on.")
    parser.add_argument("--socket", required=True, help="the node's local socket")
    parser.add_argument("--job", required=True)
    parser.add_argument("--term", required=True, type=int, help="in which this node leads")
    parser.add_argument("--log-level", choices=LEVELS, default="info")
    parser.add_argument("--log-format", choices=("console", "json"), default="console")
    found = parser.parse_args(arguments)
    return ChildOptions(found.socket, found.job, found.term, found.log_level, found.log_format)


async def carry_on(options: ChildOptions) -> bool:
    """Carry the job on; whether nothing was given up.

    Raises:
        LeadershipLostError: the term is over.
        WeftmeshError: the node cannot be reached, or rounds failed.
    """
    async with connect(options.socket) as client:
        duty = await _duty(client, options.term)
        watching = asyncio.create_task(_end_with_duty(client, options.term))
        office = Office(client.learning, asyncio.get_running_loop(), duty, options.term)
        try:
            # The process ends with the duty: as long as it runs, it leads as far as it knows.
            return await JobRun(office, options.job, lambda: not watching.done(), secrets.SystemRandom()).run()
        finally:
            watching.cancel()


async def _duty(client: Client, term: int) -> str:
    """The node's name, if it leads in this term."""
    async with aclosing(client.learning.watch_duty()) as duties:
        async for duty in duties:
            if duty.leads and duty.term == term:
                return duty.node
            raise LeadershipLostError(f"{duty.node} does not lead in term {term}")
    raise LeadershipLostError("the node did not say whether it leads")


async def _end_with_duty(client: Client, term: int) -> None:
    try:
        async with aclosing(client.learning.watch_duty()) as duties:
            async for duty in duties:
                if not duty.leads or duty.term != term:
                    break
    except WeftmeshError as error:
        log.warning("the node is gone", why=str(error))
    _end(STOPPED)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1_024):
        pass
    _end(STOPPED)


def _end(code: int) -> NoReturn:
    sys.stderr.flush()
    # Worker threads may be in the middle of a round; nothing that they have left to do counts any more.
    os._exit(code)


def main() -> None:
    """Parse the command line and run."""
    options = parse_arguments()
    configure_logging(options.log_level, "json" if options.log_format == "json" else "console")
    os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        code = DONE if uvloop.run(carry_on(options)) else FAILED
    except LeadershipLostError as error:
        log.info("standing down", why=str(error))
        code = STOPPED
    except WeftmeshError as error:
        log.critical("the job rests after failures", job=options.job, why=str(error), reason=error.reason)
        code = FAILED
    _end(code)


if __name__ == "__main__":
    main()
