from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from tests.fakes.servicer_context import CallContext, node_context
from tests.fakes.wall_clock import WallClock

from weftmesh.agent.enrolment.renewal import RETRY_S_MAX, Context, RenewalServicer, RenewalTask, renewal_due
from weftmesh.core.errors import (
    ForbiddenError,
    NodeUnreachableError,
    PreconditionError,
    UnauthenticatedError,
    WeftmeshError,
)
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_der, to_pem
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.store import IdentityStore

LIFETIME = timedelta(days=7)


class RenewalBench:
    """A node whose clock moves only while it sleeps, and an authority that can be out of reach."""

    def __init__(self, directory: Path) -> None:
        self.clock = WallClock()
        self.authority_clock = self.clock
        self.authority = Authority.create("lab", now=self.clock.now)
        self.store = IdentityStore(directory / "identity")
        key = make_key()
        certificate = self.authority.issue(make_signing_request(key, "n1"), "n1", now=self.clock.now)
        self.identity = NodeIdentity(
            IdentityMaterial.assemble(
                authority_pem=self.authority.certificate_pem,
                certificate_pem=to_pem(certificate),
                key_pem=key_to_pem(key),
            )
        )
        self.store.save(self.identity.material)
        self.failure: WeftmeshError | None = None
        self.asked_at: list[datetime] = []
        self.slept_s: list[float] = []
        self.set_at_next_sleep = timedelta()

    async def renew(self, signing_request_der: bytes) -> bytes:
        self.asked_at.append(self.clock.now)
        if self.failure:
            raise self.failure
        return to_der(self.authority.issue(signing_request_der, "n1", now=self.authority_clock()))

    async def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        self.clock.advance(timedelta(seconds=duration_s) + self.set_at_next_sleep)
        self.set_at_next_sleep = timedelta()
        await asyncio.sleep(0)

    async def run_until(self, reached: Callable[[], bool]) -> None:
        task = RenewalTask(self.identity, self.store, self.renew, clock=self.clock, sleep=self.sleep)
        running = asyncio.create_task(task.run())
        async with asyncio.timeout(20):
            while not reached():  # noqa: ASYNC110, nobody else is interested in these moments
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def bench(tmp_path: Path) -> RenewalBench:
    return RenewalBench(tmp_path)


async def test_a_certificate_is_renewed_at_two_thirds_of_its_life(bench: RenewalBench) -> None:
    before = bench.identity.material
    due = renewal_due(before)

    await bench.run_until(lambda: bench.identity.generation == 1)

    assert before.not_before + (before.not_after - before.not_before) * 0.66 < due < before.not_after
    assert due <= bench.asked_at[0] <= due + timedelta(seconds=1)
    assert bench.identity.material.not_after == bench.asked_at[0] + LIFETIME
    assert bench.identity.material.key_pem == before.key_pem
    assert bench.store.load() == bench.identity.material


async def test_renewal_is_tried_again_until_it_succeeds(bench: RenewalBench) -> None:
    bench.failure = NodeUnreachableError("the authority is away")
    await bench.run_until(lambda: len(bench.asked_at) == 12)
    pauses_s = [(after - before).total_seconds() for before, after in pairwise(bench.asked_at)]

    assert pauses_s == sorted(pauses_s)
    assert max(pauses_s) == RETRY_S_MAX
    bench.failure = None
    await bench.run_until(lambda: bench.identity.generation == 1)


async def test_a_certificate_that_comes_out_stale_is_not_asked_for_without_pause(bench: RenewalBench) -> None:
    bench.authority_clock = WallClock()

    await bench.run_until(lambda: len(bench.asked_at) == 3)

    assert bench.asked_at[0] < bench.asked_at[1] < bench.asked_at[2]


def renewal(bench: RenewalBench, *, authority: bool = True) -> RenewalServicer:
    return RenewalServicer(
        bench.authority if authority else None, "lab", is_member=lambda name: name == "n1", clock=bench.clock
    )


async def ask(servicer: RenewalServicer, bench: RenewalBench, context: CallContext) -> mesh_pb2.RenewResponse:
    request = mesh_pb2.RenewRequest(signing_request_der=bench.identity.material.signing_request())
    return await servicer.Renew(request, cast(Context, context))


async def test_a_member_gets_a_certificate_under_its_own_name(bench: RenewalBench) -> None:
    response = await ask(renewal(bench), bench, node_context("n1", "lab"))

    assert bench.identity.material.renewed(response.certificate_der).node == "n1"


@pytest.mark.parametrize(
    ("context", "error"),
    [
        (node_context("n2", "lab"), ForbiddenError),
        (node_context("n1", "other"), UnauthenticatedError),
        (CallContext(), UnauthenticatedError),
        (CallContext(authenticated={"x509_common_name": [b"n1"]}), UnauthenticatedError),
    ],
)
async def test_nobody_else_does(bench: RenewalBench, context: CallContext, error: type[Exception]) -> None:
    with pytest.raises(error):
        await ask(renewal(bench), bench, context)


async def test_a_node_without_the_authority_says_so(bench: RenewalBench) -> None:
    with pytest.raises(PreconditionError) as caught:
        await ask(renewal(bench, authority=False), bench, node_context("n1", "lab"))

    assert caught.value.reason == "NO_AUTHORITY"


async def test_a_certificate_whose_authority_issues_no_more_is_renewed_before_its_time_and_at_once(
    bench: RenewalBench,
) -> None:
    stale = False
    task = RenewalTask(
        bench.identity, bench.store, bench.renew, is_stale=lambda _: stale, clock=bench.clock, sleep=asyncio.sleep
    )
    running = asyncio.create_task(task.run())
    await asyncio.sleep(0)
    first = bench.identity.material
    assert not bench.asked_at
    stale = True
    task.hurry()
    async with asyncio.timeout(20):
        while bench.identity.material == first:  # noqa: ASYNC110, nobody else is interested in this moment
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bench.asked_at == [bench.clock.now]


async def test_a_certificate_that_is_not_in_force_yet_never_replaces_one_that_is(bench: RenewalBench) -> None:
    before = bench.identity.material
    bench.authority_clock = WallClock(bench.clock.now + timedelta(days=9))
    task = RenewalTask(bench.identity, bench.store, bench.renew, clock=bench.clock)

    with pytest.raises(PreconditionError, match=r"begins in 8\.0 days") as caught:
        await task.renew_now()

    assert caught.value.reason == "CLOCK_DISAGREES"
    assert bench.identity.material == before == bench.store.load()


async def test_one_from_a_clock_that_was_corrected_since_is_renewed_soon(bench: RenewalBench) -> None:
    bench.clock.advance(timedelta(days=-30))
    begun = bench.clock.now

    await bench.run_until(lambda: bench.identity.generation == 1)

    assert begun <= bench.asked_at[0] <= begun + timedelta(minutes=2)
    assert bench.identity.material.not_before < begun


async def test_a_clock_that_is_only_set_after_the_start_costs_no_certificate(bench: RenewalBench) -> None:
    """As where no battery keeps the time: nobody is reached then, and who has the authority would sign by it."""
    bench.clock.advance(timedelta(days=-30))
    bench.set_at_next_sleep = timedelta(days=30)
    await bench.run_until(lambda: len(bench.slept_s) == 10)
    assert bench.asked_at == []


async def test_one_that_was_made_before_the_clock_was_set_is_replaced_within_minutes(bench: RenewalBench) -> None:
    bench.clock.advance(timedelta(days=-30))
    await bench.run_until(lambda: bench.identity.generation == 1)
    bench.set_at_next_sleep = timedelta(days=30)
    slept = len(bench.slept_s)
    await bench.run_until(lambda: bench.identity.generation == 2)
    assert sum(bench.slept_s[slept:]) <= 120


async def test_nothing_is_signed_by_a_clock_that_is_doubted(bench: RenewalBench) -> None:
    async def doubt() -> None:
        raise PreconditionError("another clock", reason="CLOCK_DISAGREES")

    servicer = RenewalServicer(bench.authority, "lab", is_member=lambda _: True, check_clock=doubt, clock=bench.clock)
    with pytest.raises(PreconditionError, match="another clock"):
        await ask(servicer, bench, node_context("n1", "lab"))
