"""`python -m weftmesh.learner`: started by a connection to the node's learner.sock; trains when asked, and ends."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import structlog
import uvloop

from weftmesh.client import Client, connect
from weftmesh.core.errors import WeftmeshError
from weftmesh.learner.activation import Waiting, take_listeners
from weftmesh.learner.config import LearnerConfig, parse_arguments
from weftmesh.learner.local_node import LocalNode
from weftmesh.learner.metrics import new_outcomes, told
from weftmesh.learner.priority import yield_to_others
from weftmesh.learner.session import Answer, Ending, MakeAnswer, Session
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.exclusive import only_one
from weftmesh.runtime.metrics.beside import served_beside
from weftmesh.runtime.telemetry import configure_logging

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h: restarting will not help."""
CONNECT_TIMEOUT_S: Final = 10.0

log = structlog.get_logger("weftmesh.learner")


def answering(state_dir: Path, client: Client, loop: asyncio.AbstractEventLoop) -> MakeAnswer:
    """Makes what answers questions. It loads Flower and numpy, so it is called when the first question is there.

    Args:
        state_dir: the learner's directory.
        client: of the node.
        loop: on which the client's calls are made.
    """

    def make(admitted: learning_pb2.Admitted) -> Answer:
        from weftmesh.learner import effort
        from weftmesh.learner.count_noise import CountNoise
        from weftmesh.learner.finish import trainer as finish
        from weftmesh.learner.finish.teams import FinishTeams
        from weftmesh.learner.local_tasks import LocalTasks
        from weftmesh.learner.secrecy import Secrecy
        from weftmesh.learner.team_file import TeamFile
        from weftmesh.learner.trainer import HeadTrainer

        node, noise = LocalNode(admitted.node, client, loop), CountNoise(state_dir)
        heads: dict[str, HeadTrainer] = {
            effort.HEAD: effort.EffortTrainer(LocalTasks(node.labelled_tasks), TeamFile(state_dir, effort.HEAD), noise),
            finish.HEAD: finish.FinishTrainer(FinishTeams(node.cycle_times), TeamFile(state_dir, finish.HEAD)),
        }
        return Secrecy(admitted.node, node, state_dir, heads, secrets.SystemRandom()).answer

    return make


async def attend(config: LearnerConfig, waiting: Waiting) -> Ending:
    """Be the node's learner until nobody wants one any more, or until SIGTERM.

    Raises:
        WeftmeshError: the node cannot be reached, or another learner attends.
    """
    loop = asyncio.get_running_loop()
    for listener in waiting.listeners:
        loop.add_reader(listener, waiting.accept)
    outcomes = new_outcomes()
    async with (
        served_beside(config.metrics, (told(outcomes),)),
        connect(config.socket, timeout_s=CONNECT_TIMEOUT_S, wait=True) as client,
    ):
        running = loop.create_task(_sessions(config, client, waiting, outcomes))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        try:
            return await running
        except asyncio.CancelledError:
            return Ending.DISMISSED


async def _sessions(config: LearnerConfig, client: Client, waiting: Waiting, outcomes: Counter[str]) -> Ending:
    answers = answering(config.state_dir, client, asyncio.get_running_loop())
    while True:
        ending = await Session(client, answers, config.idle_s, outcomes=outcomes).run()
        if not waiting.somebody_waits():
            return ending


def main() -> None:
    """Parse the command line and run."""
    try:
        config = parse_arguments()
    except WeftmeshError as error:
        print(f"weftmesh.learner: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    configure_logging(config.log_level, "json" if config.log_format == "json" else "console")
    yield_to_others()
    waiting = Waiting(take_listeners(os.environ))
    try:
        with only_one(config.state_dir, "learner", "give this one a directory of its own"):
            ending = uvloop.run(attend(config, waiting))
    except WeftmeshError as error:
        waiting.accept()  # lest they start a learner that would fail as well
        log.critical("the learner stopped", why=str(error), reason=error.reason)
        code = EXIT_FAILED
    else:
        log.info("the learner is done", why=ending.value)
        code = EXIT_OK
    # Work on the worker thread cannot be stopped and comes to nothing: do not wait for it.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
