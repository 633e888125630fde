"""A signature counts when the key of a member's present certificate made it, over a statement of aggregation."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from tests.fakes.certificates import CLUSTER, DAY, CertificateAuthority
from tests.unit.agent.learning.bench import BenchNode, bench, identity_of

from weftmesh.agent.raft.engine import MemberRole
from weftmesh.core.aggregation.keys import STATEMENT_LABEL, key_statement
from weftmesh.core.aggregation.messages import KeyAdvertisement
from weftmesh.core.aggregation.terms import RoundTerms
from weftmesh.core.encoding import encode
from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.identity.certificates import utc_now
from weftmesh.runtime.identity.member_certificate import CHAIN_BYTES_MAX, member_key
from weftmesh.runtime.rpc import from_rpc_error

STATEMENT = encode(STATEMENT_LABEL, "terms", b"keys")


@pytest_asyncio.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[BenchNode]]:
    async with bench(tmp_path) as running:
        yield running


async def told(answer: Any) -> Any:
    try:
        return await answer
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


async def signed(node: BenchNode, statement: bytes = STATEMENT) -> bytes:
    async with node.stub() as stub:
        request = learning_pb2.SignStatementRequest(statement=statement)
        return bytes((await told(stub.SignStatement(request, timeout=10))).signature)


async def check(
    at: BenchNode, node: str, signature: bytes, statement: bytes = STATEMENT
) -> learning_pb2.StatementVerdict:
    (verdict,) = await check_all(at, (node, statement, signature))
    return verdict


async def check_all(at: BenchNode, *claims: tuple[str, bytes, bytes]) -> list[learning_pb2.StatementVerdict]:
    rows = [learning_pb2.SignedStatement(node=node, statement=what, signature=by) for node, what, by in claims]
    async with at.stub() as stub:
        request = learning_pb2.CheckStatementsRequest(statements=rows)
        return list((await told(stub.CheckStatements(request, timeout=10))).verdicts)


async def test_a_statement_of_the_protocol_is_signed_and_checked(nodes: list[BenchNode]) -> None:
    rng = random.Random(1)
    names = ("n1", "n2", "n3")
    terms = RoundTerms(rng.randbytes(16), "effort", 1, 1, names, 2, 3, 10)
    keys = KeyAdvertisement(terms.round_id, "n1", rng.randbytes(32), rng.randbytes(32), rng.randbytes(32), b"")
    statement = key_statement(terms, keys)
    signature = await signed(nodes[0], statement)
    for node in nodes:
        assert (await check(node, "n1", signature, statement)).genuine


async def test_a_forged_signature_is_told_from_a_genuine_one(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    signature = await signed(first)
    for node, forged, statement in (
        ("n2", signature, STATEMENT),
        ("n1", await signed(second), STATEMENT),
        ("n1", signature, STATEMENT + b"!"),
        ("n1", signature[:-1], STATEMENT),
        ("n1", b"", STATEMENT),
        ("n1", bytes(1_000), STATEMENT),
    ):
        answer = await check(second, node, forged, statement)
        assert not answer.genuine
        assert answer.why


@pytest.mark.parametrize("statement", [b"", b"weftmesh/aggregation/", STATEMENT_LABEL.encode(), b"0" + STATEMENT])
async def test_the_key_signs_nothing_of_another_use(nodes: list[BenchNode], statement: bytes) -> None:
    with pytest.raises(WeftmeshError) as refused:
        await signed(nodes[0], statement)
    assert refused.value.reason == "STATEMENT_DOMAIN"
    with pytest.raises(WeftmeshError) as unchecked:
        await check(nodes[0], "n1", b"signature", statement)
    assert unchecked.value.reason == "STATEMENT_DOMAIN"


async def test_of_many_statements_each_has_its_own_verdict(nodes: list[BenchNode]) -> None:
    first, second, third = nodes
    first.engine.move("n3", "127.0.0.1:9")
    verdicts = await check_all(
        first,
        ("n2", STATEMENT, await signed(second)),
        ("n3", STATEMENT, await signed(third)),
        ("n2", STATEMENT, await signed(first)),
        ("n9", STATEMENT, await signed(first)),
        ("n1", STATEMENT, await signed(first)),
    )
    assert [one.genuine for one in verdicts] == [True, False, False, False, True]
    assert [one.why.split(":")[0] for one in verdicts[1:4]] == [
        "NODE_UNREACHABLE",
        "n2 did not sign this statement",
        "NOT_A_MEMBER",
    ]


async def test_one_call_has_a_limited_number_of_statements(nodes: list[BenchNode]) -> None:
    signature = await signed(nodes[0])
    with pytest.raises(InvalidInputError, match="257 statements"):
        await check_all(nodes[0], *[("n1", STATEMENT, signature)] * 257)


async def test_a_statement_has_a_limit(nodes: list[BenchNode]) -> None:
    with pytest.raises(InvalidInputError, match="exceeds the limit"):
        await signed(nodes[0], STATEMENT + bytes(70_000))


async def test_a_node_that_left_is_not_believed_any_more(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    signature = await signed(second)
    assert (await check(first, "n2", signature)).genuine
    await first.engine.change_member("n2", None, None, 1.0)
    verdict = await check(first, "n2", signature)
    assert not verdict.genuine
    assert verdict.why.startswith("NOT_A_MEMBER")


async def test_a_certificate_that_was_seen_is_not_asked_for_again(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    signature = await signed(second)
    assert (await check(first, "n2", signature)).genuine
    first.engine.move("n2", "127.0.0.1:9")
    assert (await check(first, "n2", signature)).genuine


async def test_a_node_that_was_set_up_anew_is_believed_by_its_new_key(tmp_path: Path) -> None:
    authority = CertificateAuthority()
    async with bench(tmp_path / "mesh", authority=authority) as (first, second, _):
        before = await signed(second)
        assert (await check(first, "n2", before)).genuine
        second.identity.replace(identity_of(authority.node("n2")).material)
        first.engine.move("n2", second.address)
        after = await signed(second)
        assert (await check(first, "n2", after)).genuine
        assert not (await check(first, "n2", before)).genuine


async def test_a_certificate_that_cannot_be_had_makes_no_statement_genuine(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    first.engine.move("n2", "127.0.0.1:9")
    verdict = await check(first, "n2", await signed(second))
    assert not verdict.genuine
    assert verdict.why.startswith("NODE_UNREACHABLE")


async def test_a_node_at_the_address_of_another_one_cannot_pass_for_it(nodes: list[BenchNode]) -> None:
    first, _, third = nodes
    first.engine.move("n2", third.address)
    assert not (await check(first, "n2", await signed(third))).genuine


async def test_observers_sign_too(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    await first.engine.change_member("n2", MemberRole.OBSERVER, second.address, 1.0)
    assert (await check(first, "n2", await signed(second))).genuine


# The certificate alone


AUTHORITY = CertificateAuthority()
HERE = identity_of(AUTHORITY.node("n1")).material


def test_a_certificate_of_this_cluster_vouches_for_its_key_while_it_is_in_force() -> None:
    key = member_key(AUTHORITY.node("n2").certificate_pem, "n2", HERE, utc_now())
    assert key.node == "n2"
    assert key.in_force(utc_now())
    assert not key.in_force(datetime.now(UTC) + 8 * DAY)


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        (b"", "is no certificate"),
        (bytes(CHAIN_BYTES_MAX + 1), "exceeds"),
        (AUTHORITY.node("n3").certificate_pem, "of another node"),
        (CertificateAuthority().node("n2").certificate_pem, "was not issued by"),
        (AUTHORITY.node("n2", cluster="other").certificate_pem, "of another node"),
        (AUTHORITY.node("n2", uris=(f"spiffe://{CLUSTER}/node/n3",)).certificate_pem, "of another node"),
        (AUTHORITY.node("n2", valid_until=-timedelta(hours=1)).certificate_pem, "not now"),
        (AUTHORITY.node("n2", valid_from=timedelta(hours=1)).certificate_pem, "not now"),
        (AUTHORITY.pem, "was not issued by|does not name|of another node"),
    ],
)
def test_what_is_not_the_certificate_of_the_member_is_refused(chain: bytes, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as refused:
        member_key(chain, "n2", HERE, utc_now())
    assert refused.value.reason == "CERTIFICATE_INVALID"
