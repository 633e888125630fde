"""`python -m weftmesh.learner`: started by a connection to the node's learner.sock; trains when asked, and ends."""

from __future__ import annotations

import os

# One thread is what a node that has other work can spare; numpy reads this when it is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import asyncio
import fcntl
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from weftmesh.client import Client, connect
from weftmesh.core.errors import PreconditionError, WeftmeshError
from weftmesh.learner.activation import drain, take_listeners
from weftmesh.learner.config import LearnerConfig, parse_arguments
from weftmesh.learner.local_node import LocalNode
from weftmesh.learner.priority import yield_to_others
from weftmesh.learner.session import Answer, Ending, MakeAnswer, Session
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.files import make_private_directory
from weftmesh.runtime.telemetry import configure_logging

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h: restarting will not help."""
CONNECT_TIMEOUT_S: Final = 10.0

log = structlog.get_logger("weftmesh.learner")


def answers_with(state_dir: Path, node: LocalNode, admitted: learning_pb2.Admitted) -> Answer:
    """What answers questions. It loads Flower and numpy, so it is made when the first question is there.

    Raises:
        DataCorruptionError: what the learner has to remember is damaged.
    """
    from weftmesh.learner.effort import HEAD, EffortTrainer
    from weftmesh.learner.local_tasks import LocalTasks
    from weftmesh.learner.secrecy import Secrecy
    from weftmesh.learner.team_file import TeamFile

    effort = EffortTrainer(LocalTasks(node.labelled_tasks), TeamFile(state_dir, HEAD))
    return Secrecy(admitted.node, node, state_dir, {HEAD: effort}, secrets.SystemRandom()).answer


async def attend(config: LearnerConfig, listeners: list[socket.socket]) -> Ending:
    """Be the node's learner until it is over, or until SIGTERM.

    Raises:
        WeftmeshError: the node cannot be reached, or another learner attends.
    """
    loop = asyncio.get_running_loop()
    for listener in listeners:
        loop.add_reader(listener, drain, listener)
    async with connect(config.socket, timeout_s=CONNECT_TIMEOUT_S, wait=True) as client:
        session = Session(client, _maker(config.state_dir, client, loop), config.idle_s)
        running = loop.create_task(session.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        try:
            return await running
        except asyncio.CancelledError:
            return Ending.DISMISSED


@contextmanager
def only_one(state_dir: Path) -> Iterator[None]:
    """Keep other learners out of the state directory while the block runs.

    Raises:
        PreconditionError: another one is there.
    """
    make_private_directory(state_dir)
    with (state_dir / "lock").open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PreconditionError(
                f"another learner uses {state_dir}; end that one, or give this one a directory of its own",
                reason="LEARNER_RUNS",
            ) from None
        yield


def main() -> None:
    """Parse the command line and run."""
    try:
        config = parse_arguments()
    except WeftmeshError as error:
        print(f"weftmesh.learner: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    configure_logging(config.log_level, "json" if config.log_format == "json" else "console")
    yield_to_others()
    listeners = take_listeners(os.environ)
    try:
        with only_one(config.state_dir):
            ending = asyncio.run(attend(config, listeners))
    except WeftmeshError as error:
        for listener in listeners:
            drain(listener)
        log.critical("the learner stopped", why=str(error), reason=error.reason)
        code = EXIT_FAILED
    else:
        log.info("the learner is done", why=ending.value)
        code = EXIT_OK
    # Work on the worker thread cannot be stopped and comes to nothing: do not wait for it.
    sys.stderr.flush()
    os._exit(code)


def _maker(state_dir: Path, client: Client, loop: asyncio.AbstractEventLoop) -> MakeAnswer:
    def make(admitted: learning_pb2.Admitted) -> Answer:
        return answers_with(state_dir, LocalNode(admitted.node, client, loop), admitted)

    return make


if __name__ == "__main__":
    main()
