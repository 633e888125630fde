"""Random logs of learning commands over few jobs, nodes, terms and models, so that they meet; a seed repeats a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.unit.core.learning.facts import BETTER, NODES, WORSE, digest, round_id

from weftmesh.core.board.commands import Header
from weftmesh.core.clock import ms_to_stamp
from weftmesh.core.learning.commands import (
    AbandonRound,
    ActivateVersion,
    AddVersion,
    Command,
    CommitIntent,
    DefineJob,
    FixRoster,
    OpenRound,
    RecordEvaluation,
    RetireVersion,
    RollBack,
    SetOptOut,
    SwitchJob,
)
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import (
    AbandonCause,
    Coordinator,
    Job,
    Metric,
    NoisePolicy,
    Round,
    RoundKind,
    RoundStage,
    VersionStage,
)

JOBS = ("effort", "finish")
_NOISE = NoisePolicy(1.0, 5.0, 100_000_000)
_ROSTERS = (digest("one roster"), digest("another roster"))
_ANYTHING = {
    "open": 2,
    "fix": 1,
    "intend": 2,
    "add": 3,
    "evaluate": 1,
    "activate": 5,
    "abandon": 2,
    "roll_back": 2,
    "retire": 1,
    "opt_out": 2,
    "switch": 1,
    "define": 2,
}
"""Steps and how often they are drawn when it is not the one that carries a round on."""


class RandomLearning:
    """Draws commands for a machine: most fit what is there, some are stale, doubled or wrong in one way."""

    def __init__(self, seed: int, learning: Learning) -> None:
        self._random = Random(seed)
        self.learning = learning
        self._drawn = 0
        self._term = 1

    def founding(self) -> list[Command]:
        """Two jobs, one of them with a privacy budget, each with a first model."""
        by, header = self._coordinator(), Header("ann@n1", 1)
        return [
            DefineJob(header, JOBS[0], b"a", 3, 60),
            DefineJob(header, JOBS[1], b"b", 3, 50, _NOISE),
            AddVersion(header, JOBS[0], by, digest("first"), 10, 2),
            AddVersion(header, JOBS[1], by, digest("first"), 10, 2),
        ]

    def command(self) -> Command:
        """The next command."""
        self._drawn += 1
        if self._random.random() < 0.08:
            self._term += 1
        job = self.learning.job(self._random.choice(JOBS))
        assert job is not None
        (name,) = self._random.choices(list(_ANYTHING), list(_ANYTHING.values()))
        if self._random.random() < 0.7:
            name = self._next_step(job)
        makers: dict[str, Callable[[Header, Job], Command]] = {
            "open": self._open,
            "fix": self._fix,
            "intend": self._intend,
            "add": self._add,
            "evaluate": self._evaluate,
            "activate": self._activate,
            "abandon": self._abandon,
            "roll_back": self._roll_back,
            "retire": self._retire,
            "opt_out": self._opt_out,
            "switch": self._switch,
            "define": self._define,
        }
        return makers[name](self._header(), job)

    def _next_step(self, job: Job) -> str:
        """What carries the job's round on."""
        present = self.learning.round(job.round_id)
        if present is None:
            return "open" if job.enabled else "switch"
        if present.stage is RoundStage.OPEN:
            return "intend" if present.roster_sha256 else "fix"
        return "evaluate" if present.kind is RoundKind.EVALUATION else "add"

    def _header(self) -> Header:
        request = self._random.randrange(1, 40) if self._random.random() < 0.1 else 0
        return Header(
            "ann@n1",
            self._random.randrange(1, 1_000),
            request.to_bytes(16, "big") if request else b"",
            int(self._random.random() < 0.1),
        )

    def _coordinator(self) -> Coordinator:
        term = max(1, self._term - (self._random.random() < 0.1))
        return Coordinator(NODES[(term + (self._random.random() < 0.03)) % 3], term)

    def _round(self, job: Job) -> Round | None:
        rounds = self.learning.rounds(job.name)
        present = self.learning.round(job.round_id)
        if present is not None and self._random.random() < 0.9:
            return present
        return self._random.choice(rounds) if rounds else None

    def _round_id(self, job: Job) -> bytes:
        found = self._round(job)
        return round_id(10_000) if found is None else found.id

    def _version(self, job: Job) -> int:
        versions = self.learning.versions(job.name)
        return self._random.choice(versions[-4:]).number if versions and self._random.random() < 0.95 else 99

    def _nodes(self) -> tuple[str, ...]:
        return tuple(self._random.sample(NODES, self._random.choice([2, 3, 4, 5, 5, 5])))

    def _open(self, header: Header, job: Job) -> Command:
        kind = self._random.choice([RoundKind.TRAINING, *RoundKind])
        roster = self._random.choice([b"", *_ROSTERS])
        base = job.newest_version if self._random.random() < 0.7 else self._version(job)
        drawn = self._drawn if self._random.random() < 0.95 else max(1, self._drawn - 3)
        as_of_s, asked = job.as_of_s or 1, self._nodes()
        if self._random.random() < 0.1:
            as_of_s, header = (
                4_000,
                replace(header, stamp=header.stamp + ms_to_stamp(self._random.choice([0, 4_000_000]))),
            )
        return OpenRound(header, job.name, self._coordinator(), round_id(drawn), kind, base, asked, roster, as_of_s)

    def _fix(self, header: Header, job: Job) -> Command:
        present = self._round(job)
        asked = self._nodes() if present is None or self._random.random() < 0.2 else present.contributors
        roster = asked[: self._random.choice([3, 5, 5])]
        return FixRoster(
            header, job.name, self._coordinator(), self._round_id(job), roster, self._random.choice(_ROSTERS)
        )

    def _intend(self, header: Header, job: Job) -> Command:
        present = self._round(job)
        base = self._version(job) if present is None else present.base_version
        nodes = list(NODES if present is None else present.contributors)
        self._random.shuffle(nodes)
        dead = nodes[: self._random.choice([0, 0, 0, 1, 1, 2])]
        active = nodes[len(dead) :] if self._random.random() < 0.95 else nodes
        roster = self._random.choice(_ROSTERS)
        if present is not None and present.roster_sha256 and self._random.random() < 0.9:
            roster = present.roster_sha256
        return CommitIntent(
            header, job.name, self._coordinator(), self._round_id(job), base, roster, tuple(active), tuple(dead)
        )

    def _add(self, header: Header, job: Job) -> Command:
        model = digest(f"model {self._drawn}" if self._random.random() < 0.95 else "first")
        made_by = self._round_id(job) if self._random.random() < 0.8 else b""
        figures = (Metric("norm", self._random.random()),)
        return AddVersion(header, job.name, self._coordinator(), model, 64_000, 2, made_by, 0, figures)

    def _evaluate(self, header: Header, job: Job) -> Command:
        heads = self._random.choice([BETTER, WORSE])
        return RecordEvaluation(header, job.name, self._coordinator(), self._round_id(job), heads)

    def _activate(self, header: Header, job: Job) -> Command:
        forced = self._random.random() < 0.4
        by = None if forced else self._coordinator()
        return ActivateVersion(header, job.name, self._version(job), self._active(job), by, forced)

    def _abandon(self, header: Header, job: Job) -> Command:
        cause = self._random.choice(list(AbandonCause))
        return AbandonRound(header, job.name, self._coordinator(), self._round_id(job), "slow", cause)

    def _roll_back(self, header: Header, job: Job) -> Command:
        fit = [one.number for one in self.learning.versions(job.name) if one.stage is VersionStage.SUPERSEDED]
        return RollBack(
            header, job.name, self._random.choice([0, self._version(job), *fit]), self._active(job), "worse"
        )

    def _retire(self, header: Header, job: Job) -> Command:
        return RetireVersion(header, job.name, self._version(job), "spare")

    def _opt_out(self, header: Header, job: Job) -> Command:
        return SetOptOut(
            header, self._random.choice(NODES[3:]), self._random.choice(["", job.name]), self._random.random() < 0.5
        )

    def _switch(self, header: Header, job: Job) -> Command:
        return SwitchJob(header, job.name, self._random.random() < 0.8)

    def _define(self, header: Header, job: Job) -> Command:
        spec = self._random.choice([b"a", b"b", b"c"])
        return DefineJob(header, job.name, spec, 3, 60, job.noise, 0, job.version)

    def _active(self, job: Job) -> int:
        return job.active_version if self._random.random() < 0.9 else job.active_version + 1


def random_learning_log(seed: int, length: int) -> list[Command]:
    """A log of `length` commands after the first few."""
    learning = Learning()
    draws = RandomLearning(seed, learning)
    log = draws.founding()
    for command in log:
        learning.apply(command)
    for _ in range(length):
        log.append(draws.command())
        learning.apply(log[-1])
    return log
