"""Commands of a small learning job, and a coordinator that carries a round through."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import count

from weftmesh.core.board.commands import Header
from weftmesh.core.clock import ms_to_stamp
from weftmesh.core.learning.commands import (
    ActivateVersion,
    AddVersion,
    Command,
    CommitIntent,
    DefineJob,
    FixRoster,
    OpenRound,
    RecordEvaluation,
)
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import Coordinator, HeadSums, NoisePolicy, RoundKind
from weftmesh.core.learning.outcomes import LearningEvent, LearningOutcome, Reason

JOB = "effort"
NODES = ("n1", "n2", "n3", "n4", "n5")
FIRST = Coordinator("n1", 5)
NEWER = Coordinator("n2", 6)
ROSTER = sha256(b"roster").digest()
MOMENT_S = 1
"""As of which rounds read tasks; the time of stamps that say no other."""
BETTER = (HeadSums("effort", 100, 80.0, 90.0),)
WORSE = (HeadSums("effort", 100, 95.0, 90.0),)

_stamps = count(1)


def header(request: int = 0, digest: int = 0, *, at_s: int = 0) -> Header:
    """A header of its own stamp, at a second; the request id of `request`, none for 0."""
    return Header(
        "ann@n1", ms_to_stamp(at_s * 1_000) + next(_stamps), request.to_bytes(16, "big") if request else b"", digest
    )


def digest(text: str) -> bytes:
    """A SHA-256 that stands for a model."""
    return sha256(text.encode()).digest()


def round_id(number: int) -> bytes:
    """A round's id."""
    return number.to_bytes(16, "big")


def define(
    *, floor: int = 3, percent: int = 60, noise: NoisePolicy | None = None, version: int = 0, spec: bytes = b"spec"
) -> DefineJob:
    return DefineJob(header(), JOB, spec, floor, percent, noise, version=version)


def seed(name: str = "seed", by: Coordinator = FIRST, parent: int = 0) -> AddVersion:
    """A model that no round made."""
    return AddVersion(header(), JOB, by, digest(name), 1_000, 3, parent=parent)


def opening(
    number: int,
    base: int = 1,
    *,
    by: Coordinator = FIRST,
    nodes: Sequence[str] = NODES,
    kind: RoundKind = RoundKind.TRAINING,
    roster: bytes = ROSTER,
    as_of_s: int = MOMENT_S,
    at_s: int = 0,
) -> OpenRound:
    return OpenRound(header(at_s=at_s), JOB, by, round_id(number), kind, base, tuple(nodes), roster, as_of_s)


def fixing(number: int, nodes: Sequence[str], *, by: Coordinator = FIRST, roster: bytes = ROSTER) -> FixRoster:
    return FixRoster(header(), JOB, by, round_id(number), tuple(nodes), roster)


def intent(
    number: int,
    base: int = 1,
    *,
    active: Sequence[str] = NODES,
    dead: Sequence[str] = (),
    by: Coordinator = FIRST,
    roster: bytes = ROSTER,
) -> CommitIntent:
    return CommitIntent(header(), JOB, by, round_id(number), base, roster, tuple(active), tuple(dead))


def result(number: int, name: str = "", by: Coordinator = FIRST) -> AddVersion:
    """What a round made."""
    return AddVersion(header(), JOB, by, digest(name or f"result {number}"), 1_000, 3, round_id(number))


def evaluation(number: int, heads: tuple[HeadSums, ...] = BETTER, by: Coordinator = FIRST) -> RecordEvaluation:
    return RecordEvaluation(header(), JOB, by, round_id(number), heads)


def activation(version: int, expected: int = 0, *, by: Coordinator | None = FIRST, forced: bool = False) -> Command:
    return ActivateVersion(header(), JOB, version, expected, None if forced else by, forced)


class Mesh:
    """A learning machine whose invariants are asserted after every command."""

    def __init__(self, *commands: Command) -> None:
        self.learning = Learning()
        self.events: list[LearningEvent] = []
        for command in commands:
            self.done(command)

    def ask(self, command: Command) -> LearningOutcome:
        """Applies a command, whatever comes of it."""
        before = self.learning.freeze()
        previewed = self.learning.preview(command)
        outcome, events = self.learning.apply(command)
        assert previewed == outcome
        self.learning.check()
        self.events += events
        assert [event.revision for event in events] == list(range(before.revision + 1, self.learning.revision + 1))
        if not events:
            assert (self.learning.freeze().rows, self.learning.freeze().events) == (before.rows, before.events)
        assert bool(outcome.message) is not outcome.ok
        assert bool(outcome.reason) is not outcome.ok
        return outcome

    def done(self, *commands: Command) -> LearningOutcome:
        """Applies commands that must succeed; the outcome of the last one."""
        for command in commands:
            outcome = self.ask(command)
            assert outcome.ok, outcome
        return outcome

    def hasten(self, *commands: Command) -> None:
        """Applies many commands that must succeed; the next one that is asked asserts the invariants."""
        for command in commands:
            outcome, _ = self.learning.apply(command)
            assert outcome.ok, outcome

    def refused(self, command: Command, reason: Reason, saying: str) -> LearningOutcome:
        """Applies a command that must be refused for `reason`, with a message that has `saying` in it."""
        outcome = self.ask(command)
        assert outcome.reason is reason, outcome
        assert saying in outcome.message
        assert not outcome.ok
        return outcome

    def train(self, number: int, base: int) -> int:
        """Carries a training round through; the number of the version it made."""
        return self.done(opening(number, base), intent(number, base), result(number)).current_version

    def evaluate(self, number: int, version: int, heads: tuple[HeadSums, ...] = BETTER) -> None:
        """Carries an evaluation round through."""
        self.done(
            opening(number, version, kind=RoundKind.EVALUATION), intent(number, version), evaluation(number, heads)
        )

    def activate(self, number: int, version: int) -> None:
        """Evaluates a version as better and makes it the active one."""
        self.evaluate(number, version)
        job = self.learning.job(JOB)
        assert job is not None
        self.done(activation(version, job.active_version))


def founded(*, noise: NoisePolicy | None = None) -> Mesh:
    """A job with its first model."""
    return Mesh(define(noise=noise), seed())
