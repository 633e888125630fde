"""A whole round in one process: real machines on both sides, with a network and a replica that tests can bend.

`Mesh` hands every message from one machine to the other and asserts all invariants after each. Vectors are one integer
long; masks are applied with the same signs as in production, by plain integers.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from weftmesh.core.aggregation.contributor import Contributor
from weftmesh.core.aggregation.coordinator import RoundCoordinator
from weftmesh.core.aggregation.events import (
    CommitIntent,
    ContributorEvent,
    CoordinatorEffect,
    CoordinatorEvent,
    CountVector,
    IntentShown,
    MaskVector,
    Received,
    Remember,
    Reply,
    RoundEnded,
    Send,
    Start,
    TakeOff,
    Tick,
)
from weftmesh.core.aggregation.keys import Mask
from weftmesh.core.aggregation.memory import ContributorMemory
from weftmesh.core.aggregation.messages import ContributorMessage, CoordinatorMessage
from weftmesh.core.aggregation.outcomes import Refused
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.aggregation.round_state import RoundStage
from weftmesh.core.aggregation.terms import ContributorPolicy, RoundTerms, threshold_for

MODULUS = 1 << 64


def names(count: int) -> tuple[str, ...]:
    """n00, n01, ...: sorted."""
    return tuple(f"n{number:02}" for number in range(count))


def terms_for(
    count: int, *, round_number: int = 1, job: str = "effort", base_version: int = 7, term: int = 3, floor: int = 3
) -> RoundTerms:
    """Terms that every contributor accepts."""
    return RoundTerms(
        round_id=round_number.to_bytes(16, "big"),
        job=job,
        base_version=base_version,
        term=term,
        contributors=names(count),
        threshold=threshold_for(count),
        floor=floor,
        vector_length=1,
    )


def masked(value: int, masks: Iterable[Mask]) -> int:
    """`value` with masks applied: each seed stands for one word of its stream."""
    return (value + sum(mask.sign * int.from_bytes(mask.seed[:8], "little") for mask in masks)) % MODULUS


class Signers:
    """The certificates of a mesh."""

    def __init__(self) -> None:
        self._keys: dict[str, Ed25519PrivateKey] = {}

    def key(self, name: str) -> Ed25519PrivateKey:
        """The private key of a node."""
        if name not in self._keys:
            self._keys[name] = Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))
        return self._keys[name]

    def verify(self, statements: Sequence[SignedStatement]) -> list[bool]:
        """What the agent does with certificates."""
        return [self._is_genuine(one) for one in statements]

    def _is_genuine(self, one: SignedStatement) -> bool:
        try:
            self.key(one.contributor).public_key().verify(one.signature, one.statement)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class ToContributor:
    """On its way to a contributor."""

    name: str
    event: ContributorEvent


@dataclass(frozen=True)
class ToCoordinator:
    """On its way to the coordinator."""

    event: CoordinatorEvent


Letter = ToContributor | ToCoordinator


@dataclass
class Mesh:
    """`count` contributors and the coordinator of one round at a time.

    Attributes:
        to_contributor: changes or drops (None) a message on its way to a contributor.
        to_coordinator: the same for the other way.
    """

    count: int
    seed: int = 1
    policy: ContributorPolicy = field(default_factory=ContributorPolicy)
    to_contributor: Callable[[str, CoordinatorMessage], CoordinatorMessage | None] = lambda _name, message: message
    to_coordinator: Callable[[str, ContributorMessage], ContributorMessage | None] = lambda _name, message: message
    shows_intent: Callable[[str], bool] = lambda _name: True

    def __post_init__(self) -> None:
        self.signers = Signers()
        self.rng = random.Random(self.seed)
        self.contributors = {name: self.contributor(name) for name in names(self.count)}
        self.values = {name: self.rng.getrandbits(40) for name in self.contributors}
        self.refusals: list[tuple[str, Refused]] = []
        self.told: dict[tuple[str, type], CoordinatorMessage] = {}
        self.said: dict[tuple[str, type], ContributorMessage] = {}
        self.vectors: dict[str, int] = {}
        self.masks: dict[str, tuple[Mask, ...]] = {}
        self.taken_off: tuple[Mask, ...] = ()
        self.memories: list[Remember] = []
        self.total = 0
        self.result: int | None = None
        self.summed: tuple[str, ...] = ()
        self.ended: list[RoundEnded] = []
        self.now_s = 0.0
        self.letters: deque[Letter] = deque()
        self.coordinator: RoundCoordinator

    def contributor(self, name: str, memory: ContributorMemory | None = None) -> Contributor:
        """A new machine for a node."""
        return Contributor(
            name,
            sign=self.signers.key(name).sign,
            verify=self.signers.verify,
            rng=self.rng,
            policy=self.policy,
            memory=memory,
        )

    # Rounds

    def run(self, terms: RoundTerms | None = None) -> int | None:
        """A whole round; the sum, or None when it was abandoned."""
        self.open(terms or terms_for(self.count))
        self.settle()
        while (deadline_s := self.coordinator.next_deadline()) is not None:
            self.now_s = deadline_s
            self.tell_coordinator(Tick())
            self.settle()
        return self.result

    def open(self, terms: RoundTerms) -> None:
        """Begins a round."""
        self.total, self.result, self.summed = 0, None, ()
        self.coordinator = RoundCoordinator(terms, verify=self.signers.verify)
        self.tell_coordinator(Start())

    def settle(self) -> None:
        """Delivers until nothing is on its way."""
        while self.letters:
            self.deliver(self.letters.popleft())

    def deliver(self, letter: Letter) -> None:
        """Hands one letter to its machine."""
        match letter:
            case ToContributor(name, event):
                self.tell(name, event)
            case ToCoordinator(event):
                self.tell_coordinator(event)

    # Machines

    def tell_coordinator(self, event: CoordinatorEvent) -> Refused | None:
        """One event for the coordinator, and what it does then."""
        outcome = self.coordinator.apply(event, self.now_s)
        self.coordinator.check()
        if outcome.refused is not None:
            self.refusals.append(("coordinator", outcome.refused))
        for effect in outcome.effects:
            self._carry_out(effect)
        return outcome.refused

    def tell(self, name: str, event: ContributorEvent) -> Refused | None:
        """One event for a contributor, and what it does then."""
        contributor = self.contributors[name]
        outcome = contributor.apply(event, self.now_s)
        contributor.check()
        if outcome.refused is not None:
            self.refusals.append((name, outcome.refused))
        for effect in outcome.effects:
            match effect:
                case Reply(message):
                    self._send_back(name, message)
                case MaskVector(masks, announcement):
                    self.masks[name] = masks
                    self.vectors[name] = masked(self.values[name], masks)
                    self._send_back(name, announcement)
                case Remember():
                    self.memories.append(effect)
                case RoundEnded():
                    self.ended.append(effect)
        return outcome.refused

    def _carry_out(self, effect: CoordinatorEffect) -> None:
        match effect:
            case Send(receiver, message):
                self.told[receiver, type(message)] = message
                changed = self.to_contributor(receiver, message)
                if changed is not None:
                    self.letters.append(ToContributor(receiver, changed))
            case CountVector(contributor):
                self.total += self.vectors[contributor]
            case CommitIntent(intent):
                self._commit(IntentShown(intent))
            case TakeOff(masks, contributors):
                self.taken_off = masks
                self.result, self.summed = masked(self.total, masks), contributors
            case RoundEnded():
                self.ended.append(effect)

    def _commit(self, shown: IntentShown) -> None:
        self.letters += [ToContributor(name, shown) for name in self.contributors if self.shows_intent(name)]
        self.letters.append(ToCoordinator(shown))

    def _send_back(self, name: str, message: ContributorMessage) -> None:
        self.said[name, type(message)] = message
        changed = self.to_coordinator(name, message)
        if changed is not None:
            self.letters.append(ToCoordinator(Received(name, changed)))

    def stage(self) -> RoundStage:
        """Where the coordinator's round is."""
        return self.coordinator.stage

    def expected(self) -> int:
        """The plain sum of those whose vectors were counted."""
        return sum(self.values[name] for name in self.summed) % MODULUS
