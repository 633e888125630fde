"""Confirmations are checked by the certificates of the nodes that they are said to be of."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from tests.fakes.certificates import CLUSTER
from tests.unit.agent.learning.bench import mesh_home
from tests.unit.core.ola_machine.agreed import PAYMENTS, applying, header

from weftmesh.agent.ola.replica import Replica
from weftmesh.agent.ola.verifying import WindowVerifier
from weftmesh.core.errors import ForbiddenError
from weftmesh.core.ola.replicated.commands import Confirm, RecordWindow
from weftmesh.core.ola.replicated.rows import ConfirmedAgreement, ObjectiveCount
from weftmesh.core.ola.replicated.statement import window_statement
from weftmesh.ola.v1 import ola_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.identity.certificates import PublicKey

WINDOW = wall_ms() // 300_000 * 300 - 300
COUNT = ObjectiveCount("payments-api", "uptime", 299, 300)
AGREED = (ConfirmedAgreement("payments-api", 1, b"hash"),)
GENUINE = ola_pb2.SIGNATURE_VERDICT_GENUINE
WRONG = ola_pb2.SIGNATURE_VERDICT_WRONG
UNKNOWN = ola_pb2.SIGNATURE_VERDICT_UNKNOWN


class MemberKeys:
    """Implements `verifying.Keys` without certificates: what members show, and what is remembered of it."""

    def __init__(self, shown: dict[str, ec.EllipticCurvePrivateKey]) -> None:
        self.shown = shown
        self.remembered = dict(shown)
        self.asked: Counter[str] = Counter()

    async def key_of(self, node: str) -> PublicKey:
        self.asked[node] += 1
        await asyncio.sleep(3600 if node == "silent" else 0)
        if node not in self.remembered:
            raise ForbiddenError(f"{node} is not a member of this mesh, or no longer", reason="NOT_A_MEMBER")
        return self.remembered[node].public_key()

    async def fresh_key_of(self, node: str) -> PublicKey:
        self.remembered = dict(self.shown)
        return await self.key_of(node)


class Bench:
    def __init__(self, *nodes: str, again_s: float = 0.0) -> None:
        home, _ = mesh_home()
        self.machine = home.machine.agreements
        self.keys = MemberKeys({node: ec.generate_private_key(ec.SECP256R1()) for node in nodes})
        self.verifier = WindowVerifier(CLUSTER, Replica(home), self.keys, again_s)
        self.machine.apply(applying(PAYMENTS))

    def record(self, node: str, count: ObjectiveCount = COUNT) -> None:
        self.machine.apply(RecordWindow(header(at_s=WINDOW + 400), node, WINDOW, (count,)))

    def confirm(self, node: str, by: ec.EllipticCurvePrivateKey, count: ObjectiveCount = COUNT) -> None:
        signature = by.sign(window_statement(CLUSTER, node, WINDOW, AGREED, (count,)), ec.ECDSA(SHA256()))
        assert self.machine.apply(Confirm(header(at_s=WINDOW + 400), node, WINDOW, AGREED, signature))[0].ok

    async def verdicts(self, timeout_s: float = 30.0) -> dict[str, ola_pb2.SignatureVerdict]:
        return {one.node: one.verdict for one in await self.verifier.check("payments-api", timeout_s)}


async def test_what_a_node_signed_is_told_from_what_it_did_not() -> None:
    bench = Bench("n1", "n2", "n3", "n4")
    keys = bench.keys.shown
    for node in ("n1", "n2", "n3", "n4"):
        bench.record(node)
    bench.confirm("n1", keys["n1"])
    bench.confirm("n2", keys["n1"])
    bench.confirm("n3", keys["n3"], replace(COUNT, good=300))
    assert await bench.verdicts() == {"n1": GENUINE, "n2": WRONG, "n3": WRONG}, "n4 confirmed nothing"
    assert await bench.verifier.check("another", 1.0) == []


async def test_what_was_told_once_is_not_asked_for_again() -> None:
    bench = Bench("n1", "n2")
    for node in ("n1", "n2"):
        bench.record(node)
        bench.confirm(node, bench.keys.shown["n1"])
    first = await bench.verdicts()
    asked = bench.keys.asked.total()
    assert await bench.verdicts() == first
    assert bench.keys.asked.total() == asked


async def test_a_node_that_cannot_be_asked_is_neither_genuine_nor_wrong_until_it_can() -> None:
    bench = Bench("n1")
    gone = ec.generate_private_key(ec.SECP256R1())
    for node, key in (("n1", bench.keys.shown["n1"]), ("gone", gone), ("silent", gone)):
        bench.record(node)
        bench.confirm(node, key)
    checks = {one.node: one for one in await bench.verifier.check("payments-api", 0.2)}
    assert {node: one.verdict for node, one in checks.items()} == {"n1": GENUINE, "gone": UNKNOWN, "silent": UNKNOWN}
    assert "not a member" in checks["gone"].why
    assert "in time" in checks["silent"].why
    bench.keys.remembered["gone"] = gone
    assert (await bench.verdicts(0.2))["gone"] == GENUINE


async def test_a_node_that_does_not_answer_is_not_asked_for_each_agreement() -> None:
    bench = Bench(again_s=3_600.0)
    bench.record("gone")
    bench.confirm("gone", ec.generate_private_key(ec.SECP256R1()))
    assert await bench.verdicts() == await bench.verdicts() == {"gone": UNKNOWN}
    assert bench.keys.asked["gone"] == 1


async def test_a_node_that_was_set_up_anew_is_asked_for_its_present_certificate() -> None:
    bench = Bench("n1")
    bench.keys.shown["n1"] = ec.generate_private_key(ec.SECP256R1())
    bench.record("n1")
    bench.confirm("n1", bench.keys.shown["n1"])
    assert await bench.verdicts() == {"n1": GENUINE}
