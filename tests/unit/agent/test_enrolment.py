from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from structlog.testing import capture_logs
from tests.fakes.servicer_context import CallContext
from tests.fakes.wall_clock import WallClock

from weftmesh.agent.enrolment.enrolment import TokenRegistry
from weftmesh.agent.enrolment.port import EnrollmentListener
from weftmesh.agent.enrolment.service import (
    FAILURE_WINDOW_S,
    FAILURES_PER_HOST_MAX,
    HOSTS_REMEMBERED_MAX,
    Context,
    EnrollmentServicer,
    FailureLimiter,
)
from weftmesh.core.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    UnauthenticatedError,
)
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request
from weftmesh.runtime.identity.enrolling import Seed, offered_chain
from weftmesh.runtime.identity.join_line import JoinLine
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.tokens import TokenState, TokenStore

MEMBER = "n1"


class EnrolmentBench:
    """The authority's side of enrolment, without a network."""

    def __init__(self, directory: Path) -> None:
        self.clock = WallClock()
        self.authority = Authority.create("lab", now=self.clock.now)
        self.tokens = TokenStore(directory / "tokens.json", clock=self.clock)
        self.doubt: PreconditionError | None = None
        self.servicer = EnrollmentServicer(
            self.authority,
            self.tokens,
            check_clock=self._check_clock,
            seeds=lambda: [Seed(MEMBER, "192.0.2.1:7450")],
            is_member=lambda name: name == MEMBER,
            limiter=FailureLimiter(lambda: self.clock.now.timestamp()),
            clock=self.clock,
            failure_delay_s=0,
        )
        self.listener = EnrollmentListener(
            "127.0.0.1:0", lambda: "127.0.0.1", self.authority, self.tokens, self.servicer, clock=self.clock
        )
        self.registry = TokenRegistry(self.authority, self.tokens, self.listener)

    async def _check_clock(self) -> None:
        if self.doubt:
            raise self.doubt

    def token(self, node: str = "") -> str:
        record, secret = self.tokens.create(node_name=node)
        return f"{record.token_id}.{secret}"

    async def enroll(
        self,
        token: str,
        node: str = "n2",
        csr: bytes | None = None,
        caller: str = "ipv4:192.0.2.7:1",
        keeps_log: bool = False,
    ) -> mesh_pb2.EnrollResponse:
        request = mesh_pb2.EnrollRequest(
            token=token,
            node_name=node,
            signing_request_der=make_signing_request(make_key(), node) if csr is None else csr,
            keeps_log=keeps_log,
        )
        return await self.servicer.Enroll(request, cast(Context, CallContext(caller)))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[EnrolmentBench]:
    bench = EnrolmentBench(tmp_path)
    yield bench
    await bench.listener.stop()


async def test_a_token_buys_a_certificate_and_the_way_to_the_members(bench: EnrolmentBench) -> None:
    key = make_key()

    response = await bench.enroll(bench.token(), csr=make_signing_request(key, "n2"))

    assert response.cluster == "lab"
    assert response.authority_der == bench.authority.certificate_der
    assert [(seed.name, seed.address) for seed in response.seeds] == [(MEMBER, "192.0.2.1:7450")]
    own = IdentityMaterial.assemble(
        authority_pem=bench.authority.certificate_pem,
        certificate_pem=ssl.DER_cert_to_PEM_cert(response.certificate_der).encode(),
        key_pem=key_to_pem(key),
    )
    assert (own.node, own.not_after) == ("n2", bench.clock.now + timedelta(days=7))


async def test_of_many_joiners_with_one_token_one_gets_in(bench: EnrolmentBench) -> None:
    token = bench.token()

    outcomes = await asyncio.gather(
        *(bench.enroll(token, f"n{2 + number}", caller=f"ipv4:192.0.2.{number}:1") for number in range(8)),
        return_exceptions=True,
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, UnauthenticatedError)]
    assert [error.reason for error in refused] == ["TOKEN_EXHAUSTED"] * 7


async def test_nobody_is_let_in_while_the_clock_is_doubted_and_the_token_stays_good(bench: EnrolmentBench) -> None:
    token = bench.token()
    bench.doubt = PreconditionError("another clock", reason="CLOCK_DISAGREES")
    with pytest.raises(PreconditionError, match="another clock"):
        await bench.enroll(token)
    bench.doubt = None
    assert (await bench.enroll(token)).cluster == "lab"


@pytest.mark.parametrize(
    ("node", "csr", "error"),
    [("n2", b"nonsense", InvalidInputError), ("N2", None, InvalidInputError), (MEMBER, None, AlreadyExistsError)],
)
async def test_a_mistake_does_not_cost_the_token(
    bench: EnrolmentBench, node: str, csr: bytes | None, error: type[Exception]
) -> None:
    token = bench.token()

    with pytest.raises(error):
        await bench.enroll(token, node, csr)

    assert (await bench.enroll(token)).certificate_der


async def test_without_a_token_nothing_else_is_looked_at(bench: EnrolmentBench) -> None:
    for token in ("", "nonsense", f"{'a' * 8}.{'b' * 32}"):
        with pytest.raises(UnauthenticatedError) as caught:
            await bench.enroll(token, "NOT A NAME", b"no request")
        assert caught.value.reason == "TOKEN_INVALID"


async def test_the_log_knows_more_than_the_caller(bench: EnrolmentBench) -> None:
    token_id = bench.token().partition(".")[0]

    with capture_logs() as logs, pytest.raises(UnauthenticatedError) as caught:
        await bench.enroll(f"{token_id}.{'b' * 32}")

    assert logs[0]["why"] == f"wrong secret for token {token_id}"
    assert logs[0]["host"] == "ipv4:192.0.2.7"
    assert "secret" not in str(caught.value)


async def test_a_token_for_a_members_name_brings_that_member_back(bench: EnrolmentBench) -> None:
    assert (await bench.enroll(bench.token(MEMBER), MEMBER, keeps_log=True)).certificate_der


async def test_a_member_that_came_back_needs_another_token_once_it_is_removed(bench: EnrolmentBench) -> None:
    await bench.enroll(bench.token(MEMBER), MEMBER, keeps_log=True)
    with pytest.raises(ForbiddenError, match="join with a new token"):
        bench.registry.check_admission(MEMBER)


async def test_a_member_that_lost_its_log_does_not_come_back_under_its_name(bench: EnrolmentBench) -> None:
    with pytest.raises(AlreadyExistsError, match="remove that member first"):
        await bench.enroll(bench.token(MEMBER), MEMBER)


async def test_a_host_that_guesses_is_turned_away_and_others_are_not(bench: EnrolmentBench) -> None:
    token = bench.token()
    for port in range(FAILURES_PER_HOST_MAX):
        with pytest.raises(UnauthenticatedError):
            await bench.enroll("guess", caller=f"ipv4:192.0.2.7:{port}")

    with pytest.raises(OverloadedError, match="try again in 60 s"):
        await bench.enroll(token)
    assert (await bench.enroll(token, caller="ipv4:192.0.2.8:1")).certificate_der
    bench.clock.advance(timedelta(seconds=FAILURE_WINDOW_S + 1))
    assert (await bench.enroll(bench.token(), "n3")).certificate_der


def test_the_limiter_remembers_a_bounded_number_of_hosts() -> None:
    limiter = FailureLimiter(lambda: 0.0)
    for _ in range(FAILURES_PER_HOST_MAX):
        limiter.record_failure("first")
    for number in range(HOSTS_REMEMBERED_MAX):
        limiter.record_failure(f"host {number}")

    limiter.check("first")


async def test_a_token_is_shown_with_its_line_once(bench: EnrolmentBench) -> None:
    token = await bench.registry.create(mesh_pb2.CreateJoinTokenRequest(node_name="n2"))

    line = JoinLine.parse(token.join_command)
    assert (line.token_id, line.address) == (token.token_id, bench.listener.address)
    assert line.authority_sha256 == bench.authority.pin
    assert token.expire_time.ToDatetime(bench.clock.now.tzinfo) == bench.clock.now + timedelta(minutes=30)
    (listed,) = bench.registry.list()
    assert (listed.state, listed.node_name, listed.join_command) == ("live", "n2", "")


async def test_validation_changes_nothing(bench: EnrolmentBench) -> None:
    request = mesh_pb2.CreateJoinTokenRequest(validate_only=True)
    request.ttl.FromTimedelta(timedelta(days=8))
    with pytest.raises(InvalidInputError, match="may live from"):
        await bench.registry.create(request)
    request.ttl.FromTimedelta(timedelta(days=1))
    await bench.registry.create(request)
    assert bench.registry.list() == []

    token = await bench.registry.create(mesh_pb2.CreateJoinTokenRequest())
    await bench.registry.revoke(mesh_pb2.RevokeJoinTokenRequest(token_id=token.token_id, validate_only=True))
    assert [listed.state for listed in bench.registry.list()] == ["live"]
    with pytest.raises(NotFoundError):
        await bench.registry.revoke(mesh_pb2.RevokeJoinTokenRequest(token_id="x", validate_only=True))


async def test_a_node_without_the_authority_makes_no_tokens(bench: EnrolmentBench) -> None:
    registry = TokenRegistry(None, bench.tokens, None)

    with pytest.raises(PreconditionError, match="where the mesh was founded"):
        await registry.create(mesh_pb2.CreateJoinTokenRequest())


async def until(bench: EnrolmentBench, *, is_open: bool) -> None:
    async with asyncio.timeout(10):
        while bench.listener.is_open is not is_open:  # noqa: ASYNC110, the port has no event to wait for
            await asyncio.sleep(0.01)


async def test_the_port_is_open_while_tokens_live(bench: EnrolmentBench) -> None:
    await bench.listener.start()
    assert not bench.listener.is_open

    token = await bench.registry.create(mesh_pb2.CreateJoinTokenRequest())
    assert bench.listener.is_open

    await bench.registry.revoke(mesh_pb2.RevokeJoinTokenRequest(token_id=token.token_id))
    await until(bench, is_open=False)

    line = JoinLine.parse((await bench.registry.create(mesh_pb2.CreateJoinTokenRequest())).join_command)
    await bench.enroll(line.token)
    await until(bench, is_open=False)


async def test_the_port_closes_when_the_last_token_has_expired(bench: EnrolmentBench) -> None:
    request = mesh_pb2.CreateJoinTokenRequest()
    request.ttl.FromTimedelta(timedelta(seconds=1))
    await bench.registry.create(request)
    bench.clock.advance(timedelta(milliseconds=950))
    await bench.listener.start()
    assert bench.listener.is_open

    bench.clock.advance(timedelta(milliseconds=50))

    await until(bench, is_open=False)
    assert [token.state for token in bench.registry.list()] == [TokenState.EXPIRED]


async def test_the_port_shows_no_certificate_of_a_clock_that_was_corrected_since(bench: EnrolmentBench) -> None:
    right = bench.clock.now
    bench.clock.advance(timedelta(days=2))
    bench.token()
    await bench.listener.ensure()
    bench.clock.advance(timedelta(days=-2))
    await bench.listener.ensure()
    leaf_der = (await asyncio.to_thread(offered_chain, bench.listener.address, timeout_s=20.0))[0]
    assert x509.load_der_x509_certificate(leaf_der).not_valid_before_utc < right
    await bench.listener.stop()


async def test_the_port_opens_for_tokens_from_before_a_restart(bench: EnrolmentBench) -> None:
    bench.token()

    await bench.listener.start()

    await until(bench, is_open=True)


async def test_a_token_whose_port_is_taken_does_not_stay(bench: EnrolmentBench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        listener = EnrollmentListener(listen, lambda: "127.0.0.1", bench.authority, bench.tokens, bench.servicer)

        with pytest.raises(PreconditionError, match=f"cannot listen on {listen}"):
            await TokenRegistry(bench.authority, bench.tokens, listener).create(mesh_pb2.CreateJoinTokenRequest())

    assert [token.state for token in bench.registry.list()] == ["revoked"]
