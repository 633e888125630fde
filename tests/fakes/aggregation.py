"""Learners that contribute under secure aggregation, and a replicated log of one process that they all look at."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.learning import LeastSquares

from weftmesh.core.aggregation.contributor import Contributor
from weftmesh.core.aggregation.memory import ContributorMemory
from weftmesh.core.aggregation.messages import UnmaskIntent
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.aggregation.terms import RoundTerms, threshold_for
from weftmesh.core.errors import ConflictError
from weftmesh.learner.app import client_app
from weftmesh.learner.contributing import ContributingLearner


@dataclass
class OneLog:
    """Implements RoundLog, and is the replica of every node.

    Attributes:
        base_version: what the next round starts from.
        refusing: every intent is refused.
        intents: what was committed, by job and base version.
        opened: terms of all rounds, in order.
    """

    base_version: int = 1
    refusing: bool = False
    intents: dict[tuple[str, int], UnmaskIntent] = field(default_factory=dict)
    opened: list[RoundTerms] = field(default_factory=list)

    def open(self, kind: str, contributors: tuple[str, ...], vector_length: int) -> RoundTerms:
        terms = RoundTerms(
            round_id=(len(self.opened) + 1).to_bytes(16, "big"),
            job=f"effort/{kind}",
            base_version=self.base_version,
            term=3,
            contributors=contributors,
            threshold=threshold_for(len(contributors)),
            floor=3,
            vector_length=vector_length,
        )
        self.opened.append(terms)
        return terms

    def commit(self, intent: UnmaskIntent) -> None:
        if self.refusing or self.intents.setdefault((intent.job, intent.base_version), intent) != intent:
            raise ConflictError("the base version has an intent")

    def shown(self, intent: UnmaskIntent) -> UnmaskIntent | None:
        return self.intents.get((intent.job, intent.base_version))


class Identities:
    """The certificates of a mesh."""

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._keys: dict[str, Ed25519PrivateKey] = {}

    def key(self, node: str) -> Ed25519PrivateKey:
        if node not in self._keys:
            self._keys[node] = Ed25519PrivateKey.from_private_bytes(random.Random(f"{node} {self._seed}").randbytes(32))
        return self._keys[node]

    def verify(self, statements: Sequence[SignedStatement]) -> list[bool]:
        return [self._is_genuine(one) for one in statements]

    def _is_genuine(self, one: SignedStatement) -> bool:
        try:
            self.key(one.contributor).public_key().verify(one.signature, one.statement)
        except InvalidSignature:
            return False
        return True


@dataclass
class ContributingMesh:
    """A contributing learner for every trainer.

    Attributes:
        log: what all of them and the coordinator share.
        identities: whom they trust.
        memories: what each was asked to remember, newest last.
    """

    trainers: Mapping[str, LeastSquares]
    log: OneLog = field(default_factory=OneLog)
    identities: Identities = field(default_factory=Identities)
    memories: dict[str, list[ContributorMemory]] = field(default_factory=dict)

    def learner(self, node: str, signer: Identities | None = None) -> ContributingLearner:
        contributor = Contributor(
            node,
            sign=(signer or self.identities).key(node).sign,
            verify=self.identities.verify,
            rng=random.Random(f"rng of {node}"),
        )
        remember = self.memories.setdefault(node, []).append
        return ContributingLearner(contributor, client_app(self.trainers[node]), self.log.shown, remember)
