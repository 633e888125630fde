"""What a member wrote that is no certificate stands in every node's replica, and stops nobody."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from weftmesh.agent.enrolment.admission import Admission
from weftmesh.agent.enrolment.renewal import RenewalTask
from weftmesh.agent.trust.gate import Gate
from weftmesh.agent.trust.keeper import TrustKeeper
from weftmesh.agent.trust.views import authority_view
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.core.board.commands import Header
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.trust.commands import BeginRotation
from weftmesh.core.trust.machine import Trust
from weftmesh.core.trust.outcomes import TrustOutcome
from weftmesh.runtime.doors.cutting import RevocationInterceptor
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_pem
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.store import IdentityStore

HEADER = Header("mallory@n3", 1 << 16)
GARBAGE = bytes(range(100))
TOLD = "what the mesh was told to trust as an authority is no certificate"


class Log(TrustLog):
    """A replica without a mesh; nothing is written."""

    def __init__(self, trust: Trust) -> None:
        self._replica, self._clock = trust, HybridClock()

    @property
    def trust(self) -> Trust:
        return self._replica

    @property
    def is_ready(self) -> bool:
        return False

    async def require(self) -> None:
        """Every member takes everything in."""


class Renewing(RenewalTask):
    """Nobody renews anything."""

    def __init__(self) -> None:
        self.hurried = False

    def hurry(self) -> None:
        self.hurried = True


class Standing(Admission):
    """A member without the authority."""

    def __init__(self, log: TrustLog) -> None:
        self.signers = None
        self.renewing = Renewing()
        self._trust = log


class Node:
    """n1 with its real keeper, over a machine of trust."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.create("lab", now=datetime.now(UTC))
        key = make_key()
        certificate = self.authority.issue(make_signing_request(key, "n1"), "n1", now=datetime.now(UTC))
        material = IdentityMaterial.assemble(
            authority_pem=self.authority.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
        )
        self.store, self.identity, self.trust = IdentityStore(directory), NodeIdentity(material), Trust()
        self.store.save(material)
        self.gate, log = Gate(lambda: self.trust), Log(self.trust)
        self.keeper = TrustKeeper(
            self.identity,
            self.store,
            log,
            Standing(log),
            self.gate,
            RevocationInterceptor(self.gate),
            lambda _node: None,
            list,
        )

    def begin(self, present: bytes, coming: bytes) -> TrustOutcome:
        return self.trust.apply(BeginRotation(HEADER, present, coming))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "identity")


@pytest.mark.parametrize("also_the_present", [False, True])
async def test_garbage_for_an_authority_ends_no_keeper_and_changes_nothing_that_is_trusted(
    node: Node, also_the_present: bool
) -> None:
    before = dict(node.identity.material.trusted)
    present = GARBAGE[::-1] if also_the_present else node.authority.certificate_der
    assert node.begin(present, GARBAGE).kind is OutcomeKind.APPLIED, "as every build of this format does"
    keeping = asyncio.create_task(node.keeper.run())
    with capture_logs() as logged:
        for _ in range(3):
            node.keeper.note()
            await node.keeper.step()
    assert not keeping.done()
    assert node.identity.material.trusted == node.store.load().trusted == before
    assert len([one for one in logged if one["event"].startswith(TOLD)]) == 1 + also_the_present
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping


async def test_what_is_no_certificate_turns_away_nobody_and_is_shown_as_it_is(node: Node) -> None:
    node.begin(node.authority.certificate_der, GARBAGE)
    node.gate.check_certificate(node.identity.material.certificate_pem)
    shown = {one.sha256: authority_view(one) for one in node.trust.read.authorities()}
    assert sorted(view.HasField("not_after") for view in shown.values()) == [False, True]


async def test_a_coming_authority_is_trusted_beside_the_present_one(node: Node) -> None:
    coming = Authority.create("lab", now=datetime.now(UTC))
    node.begin(node.authority.certificate_der, coming.certificate_der)
    await node.keeper.step()
    assert set(node.store.load().trusted.values()) == {node.authority.certificate_der, coming.certificate_der}


@pytest.mark.parametrize("validate_only", [False, True])
async def test_what_is_no_certificate_is_not_proposed(node: Node, validate_only: bool) -> None:
    make = partial(BeginRotation, present=node.authority.certificate_der, coming=GARBAGE)
    with pytest.raises(InvalidInputError, match="no certificate") as refused:
        await Log(node.trust).write(make, "ann@n1", 5.0, validate_only=validate_only)
    assert refused.value.reason == "CERTIFICATE_INVALID"
