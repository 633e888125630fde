"""Random schedules: messages lost, doubled, late, reordered and bent, several rounds at once; all invariants hold."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import fields, is_dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.aggregation.rounds import Letter, Mesh, ToContributor, ToCoordinator, terms_for

from weftmesh.core.aggregation.events import ContributorLost, IntentShown, Received, TermShown, Tick
from weftmesh.core.aggregation.messages import ContributorMessage, UnmaskIntent, UnmaskShares

COUNT = 4
STEPS = 120
GARBAGE: dict[type, list[Any]] = {
    int: [-1, 0, 1, 3, 1 << 63, 1 << 80],
    bytes: [b"", bytes(16), bytes(32), b"\xff" * 148, bytes(1000)],
    str: ["", "n01", "n99", "\ud800", "x" * 1000],
}


def bent(rng: random.Random, value: Any) -> Any:
    """`value` with something in it replaced by something of the same type."""
    if isinstance(value, tuple):
        shapes = [(), value * 2, value[::-1], value[1:], value * 100]
        inside = [(*value[:-1], bent(rng, value[-1]))] if value else []
        return rng.choice(shapes + inside)
    if is_dataclass(value) and not isinstance(value, type):
        name = rng.choice([field.name for field in fields(value)])
        return replace(value, **{name: bent(rng, getattr(value, name))})
    return rng.choice(GARBAGE[type(value)])


class Chaos:
    """A mesh whose network does what it likes, and a replica that holds one intent for a base version, ever."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.mesh = Mesh(COUNT)
        self.mesh.shows_intent = lambda _name: False
        self.past: list[Letter] = []
        self.intents: dict[tuple[str, int], UnmaskIntent] = {}
        self.answers: defaultdict[str, list[UnmaskShares]] = defaultdict(list)
        self.mesh.to_coordinator = self._note
        self.rounds = 0
        self.open()

    def open(self) -> None:
        """A coordinator begins a round, perhaps on a base version that was used before."""
        self.rounds += 1
        base_version, term = self.rng.randint(7, 8), self.rng.randint(3, 4)
        self.mesh.open(terms_for(COUNT, round_number=self.rounds, base_version=base_version, term=term))

    def step(self, *, bending: bool) -> None:
        """The network does one thing."""
        mesh, choice = self.mesh, self.rng.choice
        actions = ["deliver"] * 60 + ["late", "drop", "double", "replay", "tick", "lost", "term", "open"]
        action = choice(actions + ["bend"] * (3 * bending))
        if action in ("deliver", "late", "drop", "double", "bend") and mesh.letters:
            letter = mesh.letters.popleft()
            self.past.append(letter)
            if action == "late":
                mesh.letters.append(letter)
            elif action != "drop":
                self._deliver(bent_letter(self.rng, letter) if action == "bend" else letter)
                if action == "double":
                    self._deliver(letter)
        elif action == "replay" and self.past:
            self._deliver(choice(self.past))
        elif action == "tick":
            mesh.now_s += choice([1.0, 11.0, 601.0])
            mesh.tell_coordinator(Tick())
            mesh.tell(choice(list(mesh.contributors)), Tick())
        elif action == "lost":
            mesh.tell_coordinator(ContributorLost(choice(list(mesh.contributors))))
        elif action == "term":
            mesh.tell(choice(list(mesh.contributors)), TermShown(self.rng.randint(3, 4)))
        elif action == "open" and self.rounds < 4:
            self.open()

    def _deliver(self, letter: Letter) -> None:
        if isinstance(letter, ToCoordinator) and isinstance(letter.event, IntentShown):
            intent = letter.event.intent
            settled = self.intents.setdefault((intent.job, intent.base_version), intent)
            for name in self.mesh.contributors:
                self.mesh.tell(name, IntentShown(settled))
            letter = ToCoordinator(IntentShown(settled))
        self.mesh.deliver(letter)

    def _note(self, name: str, message: ContributorMessage) -> ContributorMessage:
        if isinstance(message, UnmaskShares):
            self.answers[name].append(message)
        return message


def bent_letter(rng: random.Random, letter: Letter) -> Letter:
    """The same letter with its message bent; what a node's own replica shows is left alone."""
    match letter:
        case ToCoordinator(Received(sender, message)):
            return ToCoordinator(Received(sender, bent(rng, message)))
        case ToContributor(name, event) if not isinstance(event, IntentShown):
            return ToContributor(name, bent(rng, event))
    return letter


def check_answers(chaos: Chaos) -> None:
    """One answer for a base version, and never both secrets of anybody in a round."""
    given_away: defaultdict[tuple[bytes, str], set[str]] = defaultdict(set)
    for answers in chaos.answers.values():
        base_versions = [
            base for one in answers for base, intent in chaos.intents.items() if intent.round_id == one.round_id
        ]
        assert len(base_versions) == len(set(base_versions)) == len(answers)
        for answer in answers:
            for one in answer.self_mask_shares:
                given_away[answer.round_id, one.owner].add("self mask")
            for one in answer.masking_key_shares:
                given_away[answer.round_id, one.owner].add("masking key")
    assert all(len(secrets) == 1 for secrets in given_away.values())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_any_schedule_ends_in_the_exact_sum_or_in_none(seed: int) -> None:
    chaos = Chaos(random.Random(seed))
    for _ in range(STEPS):
        chaos.step(bending=False)
        assert chaos.mesh.result in (None, chaos.mesh.expected())
    check_answers(chaos)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_no_garbage_breaks_an_invariant_or_gets_both_secrets(seed: int) -> None:
    chaos = Chaos(random.Random(seed))
    for _ in range(STEPS):
        chaos.step(bending=True)
    check_answers(chaos)
