"""A learner that lies, at a real node among real ones: what it sends is left out, or its sum is, and the job goes on.

Masks hide a lie as they hide everything, but a vector under masks can be changed by whoever sends it: what is added to
it is added to the sum. So the rogue is an honest learner whose answer is bent on its way out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from tests.integration.learning_mesh import coordinating, define, fill, model, until
from tests.integration.learning_replay import replay_of

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.core.forecast.features import DIMENSIONS
from weftmesh.core.learning.model import RoundKind, RoundStage
from weftmesh.learner.__main__ import answering
from weftmesh.learner.session import Answer, Session
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.masking import SCALE, WORD_BYTES
from weftmesh.runtime.wire.envelopes import Contribution, Work, seal, unseal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

ROGUE = "node4"
BASE = 3
"""The version whose training round meets the lie."""
GOAL = 5
SPOILT_WORK = BASE
"""A job's first work counts; those that follow train from version 2 on."""
SETTLE_S = 120.0
IDLE_S = 600.0
NAN_WORD = int(np.array([np.nan]).view(np.uint64)[0])
Spoil = Callable[[list[bytes]], bytes]
"""Makes an answer of the rogue's honest ones to the work of a job, the newest last."""


def bent(change: Callable[[Contribution], Contribution]) -> Spoil:
    def spoil(answers: list[bytes]) -> bytes:
        honest = unseal(answers[-1])
        assert isinstance(honest, Contribution)
        return seal(change(honest))

    return spoil


def adding(word: int, places: slice) -> Spoil:
    """The sum gets so much more in these places, modulo 2**64."""

    def change(honest: Contribution) -> Contribution:
        words = np.frombuffer(honest.vector, "<u8").copy()
        words[places] += np.uint64(word)
        return replace(honest, vector=words.tobytes())

    return bent(change)


def real(number: float) -> int:
    """A number as a word of the sum."""
    return round(number * SCALE)


LEFT_OUT: dict[str, tuple[Spoil, str]] = {
    "short": (bent(lambda one: replace(one, vector=one.vector[:-WORD_BYTES])), "it sent a vector of"),
    "of-an-earlier-version": (lambda answers: answers[-2], "WRONG_ROUND"),
    "garbage": (lambda _answers: b"\xff" * 100, "LEARNING_MESSAGE_MALFORMED"),
}
"""Wrong to look at: the round goes on without it."""
REFUSED: dict[str, tuple[Spoil, str]] = {
    "huge": (adding(real(2.0**30), slice(0, DIMENSIONS)), "its mean update is"),
    "not-a-number": (adding(NAN_WORD, slice(0, DIMENSIONS)), "its mean update is"),
    "count": (adding(real(1e8), slice(DIMENSIONS, DIMENSIONS + 1)), "its weights add up to"),
}
"""Wrong under the masks: only the sum shows it."""
SLOW = {"garbage", "not-a-number"}
LIES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in (*LEFT_OUT, *REFUSED)]


@dataclass
class Rogue:
    """The learner of a node.

    Attributes:
        job: in which it lies.
        spoil: how.
        answers: what it would have answered to the work of each job.
        lies: how often it has lied, by job.
    """

    job: str = ""
    spoil: Spoil = lambda answers: answers[-1]
    answers: dict[str, list[bytes]] = field(default_factory=dict)
    lies: Counter[str] = field(default_factory=Counter)

    def wrapped(self, honest: Answer) -> Answer:
        def answer(job: str, term: int, payload: bytes) -> bytes:
            answered = honest(job, term, payload)
            if not isinstance(unseal(payload), Work):
                return answered
            mine = self.answers.setdefault(job, [])
            mine.append(answered)
            if job != self.job or len(mine) != SPOILT_WORK:
                return answered
            self.lies[job] += 1
            return self.spoil(mine)

        return answer


@asynccontextmanager
async def attending(node: DevNode) -> AsyncIterator[Rogue]:
    """The rogue is the learner of `node`, for as long as the block runs."""
    rogue = Rogue()
    node.learner_directory.mkdir(parents=True, exist_ok=True)
    async with node.client() as client:
        make = answering(node.learner_directory, client, asyncio.get_running_loop())

        def make_rogue(admitted: learning_pb2.Admitted) -> Answer:
            return rogue.wrapped(make(admitted))

        async def attend() -> None:
            while True:  # a node dismisses a learner that nobody asks
                await Session(client, make_rogue, IDLE_S).run()

        task = asyncio.create_task(attend())
        try:
            yield rogue
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def place(node: DevNode) -> None:
    """Nobody else starts a learner at the rogue's node."""
    node.learner = node.name != ROGUE


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("rogue"), 4, fsync=False, place=place, learners=True) as running:
        for number, node in enumerate(running.nodes.values()):
            await fill(node, number)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rogue(mesh: DevMesh) -> AsyncIterator[Rogue]:
    async with attending(mesh.node(ROGUE)) as attended:
        yield attended


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_named_in_the_log_and_not_in_the_model(
    mesh: DevMesh, rogue: Rogue, tmp_path: Path, lie: str
) -> None:
    rogue.job = f"lie-{lie}"
    rogue.spoil, why = (LEFT_OUT | REFUSED)[lie]
    async with coordinating(mesh) as coordinators:
        await define(mesh.first, rogue.job, JobSpec(head="effort", goal_version=GOAL, update_clip=2.0))
        done = await until(mesh.first, rogue.job, lambda state: GOAL in state.evaluations, SETTLE_S)
        said = coordinators.logs()
    assert rogue.lies[rogue.job] == 1
    spoilt = done.intents[RoundKind.TRAINING, BASE]
    abandoned = [one for one in done.rounds.values() if one.stage is RoundStage.ABANDONED]
    if lie in LEFT_OUT:
        assert not abandoned
        assert (spoilt.active, spoilt.dead) == (("node1", "node2", "node3"), (ROGUE,))
        assert any(ROGUE in line and why in line for line in said.splitlines())
    else:
        (refused,) = abandoned
        assert (refused.id, refused.base_version) == (spoilt.round_id, BASE)
        assert refused.why.startswith(f"the sum is refused: {why}")
        assert not done.versions[BASE + 1].round_id, "the job went on beside the version whose sum is spent"
    replay = await replay_of(mesh, tmp_path)
    assert await model(mesh.first, done, GOAL) == replay.model(done, GOAL)
