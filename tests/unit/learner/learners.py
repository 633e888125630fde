"""A round over real learners in one process: their nodes are fakes with one replica, everything else is production."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from weftmesh.core.aggregation.coordinator import RoundCoordinator
from weftmesh.core.aggregation.events import (
    CommitIntent,
    ContributorLost,
    CoordinatorEffect,
    CoordinatorEvent,
    CountVector,
    IntentShown,
    Received,
    RoundEnded,
    Send,
    Start,
    TakeOff,
)
from weftmesh.core.aggregation.keys import bound_to_work
from weftmesh.core.aggregation.messages import (
    CoordinatorMessage,
    KeyAdvertisement,
    ShareDelivery,
    ShareUpload,
    UnmaskIntent,
    UnmaskShares,
)
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.aggregation.terms import RoundTerms, threshold_for
from weftmesh.core.forecast.finish_features import BoardTask
from weftmesh.core.forecast.text import TaskText
from weftmesh.core.learning.model import NoisePolicy, RoundKind
from weftmesh.core.learning.sum_names import sum_name
from weftmesh.learner.count_noise import CountNoise
from weftmesh.learner.effort import EffortTrainer
from weftmesh.learner.local_tasks import LocalTasks
from weftmesh.learner.node import JobView, LabelledTask
from weftmesh.learner.secrecy import Secrecy
from weftmesh.learner.team_file import TeamFile
from weftmesh.runtime import flower
from weftmesh.runtime.flower import MessageType
from weftmesh.runtime.masking import ContributionLayout, MaskedSum, Reals, WeightedMean
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import instruction, work_sha256
from weftmesh.runtime.wire.envelopes import Contribution, LearnerRefusal, Letter, Work, seal, unseal

JOB = "estimates"
CANARY = "xylophonecanary"
"""In every title."""
WORDS = ("crash", "typo", "login", "rewrite", "scheduler", "label", "migration", "colour", "driver", "timeout")


@dataclass
class Replica:
    """What the replicated state says; every node sees the same, at once."""

    head: str = "effort"
    term: int = 3
    enabled: bool = True
    versions: dict[int, bytes] = field(default_factory=dict)
    intents: list[UnmaskIntent] = field(default_factory=list)
    opted_out: set[str] = field(default_factory=set)
    hides_intents: bool = False
    noise: NoisePolicy | None = None
    round_id: bytes = b""
    as_of_s: int = 0
    """0 is for rounds that read what is there."""
    lags: bool = False
    """It does not show the round that is under way."""


@dataclass
class FakeNode:
    """Implements `weftmesh.learner.node.Node`."""

    name: str
    replica: Replica
    tasks: dict[str, list[LabelledTask]]
    boards: dict[str, list[BoardTask]] = field(default_factory=dict)

    def job(self, name: str, base_version: int, round_id: bytes = b"", wait_s: float = 0.0) -> JobView:
        if name != JOB:
            return JobView(self.replica.term)
        return JobView(
            self.replica.term,
            self.replica.head,
            self.replica.enabled,
            self.name in self.replica.opted_out,
            tuple(self.tasks),
            dict(self.replica.versions),
            tuple(self.replica.intents),
            noise=self.replica.noise,
            as_of_s=self.replica.as_of_s,
            round_id=b"" if self.replica.lags else self.replica.round_id,
        )

    def sign(self, statement: bytes) -> bytes:
        return key_of(self.name).sign(statement)

    def verify(self, statements: Sequence[SignedStatement]) -> list[bool]:
        return verify(statements)

    def shown_intent(
        self, job: str, kind: RoundKind, round_id: bytes, base_version: int, timeout_s: float
    ) -> UnmaskIntent | None:
        shown = [] if self.replica.hides_intents else self.replica.intents
        return next((one for one in shown if (one.job, one.round_id) == (sum_name(job, kind), round_id)), None)

    def labelled_tasks(self, project_id: str) -> Sequence[LabelledTask]:
        return self.tasks[project_id]

    def cycle_times(self, project_id: str, as_of_s: float) -> Sequence[BoardTask]:
        known = (replace(task, times=task.times.known_at(as_of_s)) for task in self.boards[project_id])
        return [task for task in known if task.times.created_s <= as_of_s]


@dataclass(frozen=True)
class Outcome:
    mean: WeightedMean | None
    contributors: tuple[str, ...]
    why: str


class Learners:
    """`count` learners and the rounds that a coordinator runs over them.

    Attributes:
        said: every answer of every learner, as bytes.
        refused: reasons by node.
        total: of the last round, as the coordinator has it.
        silent: nodes that a message of this type never reaches.
    """

    def __init__(self, directory: Path, count: int = 3, labels: int = 40) -> None:
        self.replica = Replica()
        self.rng = random.Random(5)
        self.directory = directory
        self.names = tuple(f"n{number:02}" for number in range(count))
        self.nodes = {
            name: FakeNode(name, self.replica, {f"P{name[1:]}": tasks(self.rng, labels)}) for name in self.names
        }
        self.learners = {name: self.learner(name) for name in self.names}
        self.said: list[bytes] = []
        self.refused: dict[str, LearnerRefusal] = {}
        self.silent: dict[str, type[CoordinatorMessage]] = {}
        self.total: Reals | None = None
        self._rounds = 0

    def state_dir(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(exist_ok=True)
        return path

    def learner(self, name: str) -> Secrecy:
        """A new learner process of a node."""
        state_dir, node = self.state_dir(name), self.nodes[name]
        tasks, records = LocalTasks(node.labelled_tasks), TeamFile(state_dir, "effort")
        heads = {"effort": EffortTrainer(tasks, records, CountNoise(state_dir))}
        return Secrecy(name, node, state_dir, heads, self.rng)

    def ask(self, name: str, letter: Letter, job: str = JOB) -> Letter:
        answer = self.learners[name].answer(job, self.replica.term, seal(letter))
        self.said.append(answer)
        return unseal(answer)

    def terms(self, kind: RoundKind, base_version: int, vector_length: int) -> RoundTerms:
        self._rounds += 1
        self.replica.round_id = self._rounds.to_bytes(16, "big")
        return RoundTerms(
            round_id=self.replica.round_id,
            job=sum_name(JOB, kind),
            base_version=base_version,
            term=self.replica.term,
            contributors=self.names,
            threshold=threshold_for(len(self.names)),
            floor=3,
            vector_length=vector_length,
        )

    def round(
        self,
        kind: RoundKind,
        update_length: int,
        *,
        base_version: int = 0,
        model: bytes = b"",
        metrics: tuple[str, ...] = (),
        settings: RoundSettings | None = None,
        told: Mapping[str, RoundSettings] | None = None,
    ) -> Outcome:
        """One whole round, as a coordinator runs it; one that lies tells some nodes other settings."""
        layout = ContributionLayout(update_length, metrics)
        one = _Round(self, self.terms(kind, base_version, layout.length), work_for(kind, model, settings), metrics)
        one.told = {name: work_for(kind, model, other) for name, other in (told or {}).items()}
        one.run()
        self.total = one.total
        mean = None if one.total is None else layout.unpack(one.total)
        return Outcome(mean, one.contributors, one.why)


class _Round:
    def __init__(self, learners: Learners, terms: RoundTerms, work: bytes, metrics: tuple[str, ...]) -> None:
        self._learners, self._terms, self._work, self._metrics = learners, terms, work, metrics
        self._machine = RoundCoordinator(terms, verify=verify)
        self._sum = MaskedSum(terms.vector_length)
        self._vectors: dict[str, bytes] = {}
        self._waiting: deque[CoordinatorEvent] = deque([Start()])
        self.told: Mapping[str, bytes] = {}
        self.total: Reals | None = None
        self.contributors: tuple[str, ...] = ()
        self.why = "not over"

    def run(self) -> None:
        while self._waiting:
            event = self._waiting.popleft()
            outcome = self._machine.apply(event, 0.0)
            assert outcome.accepted or isinstance(event, ContributorLost) or self._machine.next_deadline() is None
            for effect in outcome.effects:
                self._carry_out(effect)

    def _carry_out(self, effect: CoordinatorEffect) -> None:
        match effect:
            case Send():
                self._send(effect.receiver, effect.message)
            case CountVector():
                self._sum.add(self._vectors[effect.contributor])
            case CommitIntent():
                self._learners.replica.intents.append(effect.intent)
                self._waiting.append(IntentShown(effect.intent))
            case TakeOff():
                told = work_sha256(flower.from_bytes(self._work), self._metrics)
                masks = [bound_to_work(mask, told) for mask in effect.masks]
                self.total, self.contributors = self._sum.unmasked(masks), effect.contributors
            case RoundEnded():
                self.why = effect.reason

    def _send(self, name: str, message: CoordinatorMessage) -> None:
        if self._learners.silent.get(name) is type(message):
            self._waiting.append(ContributorLost(name))
            return
        work = self.told.get(name, self._work)
        letter = Work(message, work, self._metrics) if isinstance(message, ShareDelivery) else message
        answer = self._learners.ask(name, letter)
        match answer:
            case LearnerRefusal():
                self._learners.refused[name] = answer
                self._waiting.append(ContributorLost(name))
            case Contribution():
                self._vectors[name] = answer.vector
                self._waiting.append(Received(name, answer.announcement))
            case KeyAdvertisement() | ShareUpload() | UnmaskShares():
                self._waiting.append(Received(name, answer))
            case _:
                raise AssertionError(f"a learner said {type(answer).__name__}")


def work_for(kind: RoundKind, model: bytes, settings: RoundSettings | None = None) -> bytes:
    """The Flower message of a round."""
    config = (settings or RoundSettings("effort", kind)).to_config()
    message_type = MessageType.EVALUATE if kind is RoundKind.EVALUATION else MessageType.TRAIN
    message = flower.instruct(instruction(model, config), message_type, 77, "round")
    flower.set_message_id(message, "9")
    return flower.to_bytes(message)


def tasks(rng: random.Random, count: int) -> list[LabelledTask]:
    """Tasks whose effort follows from their words, oldest first."""
    made = []
    for number in range(count):
        picked = rng.sample(range(len(WORDS)), 3)
        text = TaskText(f"{CANARY} {' '.join(WORDS[one] for one in picked)}", f"{CANARY} " * 3)
        effort = float((1, 2, 3, 5, 8)[min(max(picked) // 2, 4)])
        made.append(LabelledTask(f"projects/P/tasks/{number:05}", 1, 1e9 + number, 1e9 + number, effort, text))
    return made


def add_version(replica: Replica, number: int, model: bytes) -> None:
    """Commit a model."""
    replica.versions[number] = sha256(model).digest()


def key_of(name: str) -> Ed25519PrivateKey:
    """The key of a node's certificate."""
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


def verify(statements: Sequence[SignedStatement]) -> list[bool]:
    """What a node does with certificates."""
    return [_is_genuine(one) for one in statements]


def _is_genuine(one: SignedStatement) -> bool:
    try:
        key_of(one.contributor).public_key().verify(one.signature, one.statement)
    except InvalidSignature:
        return False
    return True
