"""Signatures that came together are checked in one call, and none is believed that was not checked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.fakes.aggregation import Identities

from weftmesh.coordinator.signatures import Signatures
from weftmesh.core.aggregation.keys import key_statement
from weftmesh.core.aggregation.messages import KeyAdvertisement
from weftmesh.core.aggregation.outcomes import Refusal
from weftmesh.core.aggregation.roster import SignedStatement, check_advertisements
from weftmesh.core.aggregation.terms import RoundTerms
from weftmesh.core.errors import NodeUnreachableError

NAMES = ("n1", "n2", "n3", "n4")
TERMS = RoundTerms(bytes(16), "effort", 1, 1, NAMES, 3, 3, 10)


class Node:
    """Checks signatures, and counts how often it is asked."""

    def __init__(self) -> None:
        self.identities = Identities()
        self.asked: list[int] = []
        self.unreachable: set[str] = set()

    def verify(self, statements: Sequence[SignedStatement]) -> list[bool]:
        self.asked.append(len(statements))
        if self.unreachable & {one.contributor for one in statements}:
            raise NodeUnreachableError("it does not show its certificate")
        return self.identities.verify(statements)


def advertised(node: Node, name: str) -> KeyAdvertisement:
    rng = random.Random(name)
    keys = KeyAdvertisement(TERMS.round_id, name, rng.randbytes(32), rng.randbytes(32), rng.randbytes(32), b"")
    return replace(keys, signature=node.identities.key(name).sign(key_statement(TERMS, keys)))


def test_what_came_together_is_asked_for_in_one_call() -> None:
    node = Node()
    signatures, keys = Signatures(TERMS, node.verify), [advertised(node, name) for name in NAMES]
    signatures.expect(keys[:3])
    for one in keys:
        check_advertisements(TERMS, (one,), signatures.verify)
    assert node.asked == [3, 1]


def test_a_forgery_among_them_is_refused_and_the_others_are_not() -> None:
    node = Node()
    keys = [advertised(node, name) for name in NAMES]
    forged = replace(keys[1], masking_key=bytes(32))
    signatures = Signatures(TERMS, node.verify)
    signatures.expect([keys[0], forged, keys[2]])
    check_advertisements(TERMS, (keys[0],), signatures.verify)
    with pytest.raises(Refusal, match="n2"):
        check_advertisements(TERMS, (forged,), signatures.verify)
    check_advertisements(TERMS, (keys[2],), signatures.verify)


def test_a_verdict_is_not_for_other_words_or_another_signature() -> None:
    node = Node()
    keys = [advertised(node, name) for name in NAMES]
    signatures = Signatures(TERMS, node.verify)
    signatures.expect(keys)
    for changed in (replace(keys[0], sharing_key=bytes(32)), replace(keys[0], signature=keys[1].signature)):
        with pytest.raises(Refusal, match="n1"):
            check_advertisements(TERMS, (changed,), signatures.verify)


def test_one_that_cannot_be_told_spoils_no_other() -> None:
    node = Node()
    node.unreachable = {"n3"}
    keys = [advertised(node, name) for name in NAMES]
    signatures = Signatures(TERMS, node.verify)
    signatures.expect(keys)
    for one in keys[:2]:
        check_advertisements(TERMS, (one,), signatures.verify)
    with pytest.raises(Refusal, match="does not show"):
        check_advertisements(TERMS, (keys[2],), signatures.verify)
