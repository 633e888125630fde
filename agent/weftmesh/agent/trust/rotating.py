"""The steps of replacing the cluster's authority; each may be asked again, whatever crashed meanwhile."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from weftmesh.agent.enrolment.admission import Admission
from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.agent.serving.requests import Call
from weftmesh.agent.trust.views import authority_view
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.core.trust.commands import AbandonRotation, BeginRotation, FinishRotation, SwitchIssuer
from weftmesh.core.trust.rows import AuthorityState, Phase
from weftmesh.mesh.v1 import trust_pb2
from weftmesh.runtime.identity.signers import Signers

log = structlog.get_logger("weftmesh.trust")


class Rotating:
    """Answers RotateAuthority."""

    def __init__(self, engine: RaftEngine, log_: TrustLog, admission: Admission, *, from_files: bool) -> None:
        self._engine = engine
        self._log = log_
        self._admission = admission
        self._from_files = from_files
        self._one_at_a_time = asyncio.Lock()

    async def rotate(self, request: trust_pb2.RotateAuthorityRequest, call: Call) -> trust_pb2.RotationView:
        """Go a step further, or say what stands in its way; returns where the rotation stands then.

        Raises:
            PreconditionError: MEMBER_NOT_READY and others of the machine; NO_AUTHORITY; FROM_FILES; CLOCK_DISAGREES.
            WeftmeshError: as `TrustLog.write` does.
        """
        if self._from_files:
            raise PreconditionError(
                'certificates come from files here ([tls] mode = "files"): put the new authority beside the old one '
                "into ca_file on every node, then exchange the certificates, then take the old one out",
                reason="FROM_FILES",
            )
        steps = {
            trust_pb2.ROTATION_STEP_UNSPECIFIED: self._look,
            trust_pb2.ROTATION_STEP_BEGIN: self._begin,
            trust_pb2.ROTATION_STEP_ISSUE: self._issue,
            trust_pb2.ROTATION_STEP_FINISH: self._finish,
            trust_pb2.ROTATION_STEP_ABANDON: self._abandon,
        }
        step = steps.get(request.step)
        if step is None:
            raise InvalidInputError("this node knows no such step of a rotation; upgrade it")
        # One operator must not delete the key that another one has just made.
        async with self._one_at_a_time:
            await step(request, call)
        if request.step and not request.validate_only:
            log.warning("rotation", step=trust_pb2.RotationStep.Name(request.step), by=call.caller.actor)
        return self.view()

    def view(self) -> trust_pb2.RotationView:
        """Where the rotation stands, and whom it waits for."""
        read, members = self._log.trust.read, self._members()
        coming = read.authority_in(AuthorityState.COMING)
        issuing = read.authority_in(AuthorityState.ISSUING)
        return trust_pb2.RotationView(
            phase=read.phase.name.lower(),
            authorities=map(authority_view, read.authorities()),
            not_trusting=read.not_trusting(members, coming.sha256) if coming is not None else (),
            not_certified=read.not_certified_by(members, issuing.sha256) if issuing is not None else (),
            live_tokens=self._admission.tokens.live,
            has_authority=self._admission.signers is not None,
            next_step={Phase.NONE: "begin", Phase.BEGUN: "issue", Phase.ISSUED: "finish"}[read.phase],
        )

    async def _look(self, request: trust_pb2.RotateAuthorityRequest, call: Call) -> None:
        """Nothing is done."""

    async def _begin(self, request: trust_pb2.RotateAuthorityRequest, call: Call) -> None:
        signers = self._signers()
        if request.validate_only:
            if self._log.trust.read.phase is not Phase.NONE:
                raise PreconditionError("a rotation is under way already", reason="ROTATION_UNDER_WAY")
            return
        await self._admission.clocks.check()
        coming = signers.prepare()
        make = partial(BeginRotation, present=signers.certificate_der, coming=coming.certificate_der)
        await self._log.write(make, call.caller.actor, call.remaining_s)

    async def _issue(self, request: trust_pb2.RotateAuthorityRequest, call: Call) -> None:
        read = self._log.trust.read
        wanted = read.authority_in(AuthorityState.COMING) or read.authority_in(AuthorityState.ISSUING)
        if wanted is None:
            raise _no_rotation()
        self._signers().check_held(wanted.sha256)
        await self._admission.clocks.check()
        make = partial(SwitchIssuer, authority=wanted.sha256, members=self._members())
        await self._log.write(make, call.caller.actor, call.remaining_s, validate_only=request.validate_only)

    async def _finish(self, request: trust_pb2.RotateAuthorityRequest, call: Call) -> None:
        issuing = self._log.trust.read.authority_in(AuthorityState.ISSUING)
        if issuing is None:
            raise _no_rotation()
        make = partial(
            FinishRotation, authority=issuing.sha256, members=self._members(), forced=tuple(request.force_nodes)
        )
        await self._log.write(make, call.caller.actor, call.remaining_s, validate_only=request.validate_only)

    async def _abandon(self, request: trust_pb2.RotateAuthorityRequest, call: Call) -> None:
        signers = self._signers()
        coming = self._log.trust.read.authority_in(AuthorityState.COMING)
        if coming is not None:
            make = partial(AbandonRotation, authority=coming.sha256)
            await self._log.write(make, call.caller.actor, call.remaining_s, validate_only=request.validate_only)
        elif self._log.trust.read.phase is Phase.ISSUED:
            raise PreconditionError(
                "the new authority issues certificates already; go on with `weftmesh cert rotate-ca finish`",
                reason="NO_ROTATION",
            )
        if not request.validate_only:
            signers.abandon()

    def _members(self) -> tuple[str, ...]:
        status = self._engine.status()
        return tuple(sorted({**status.observers, **status.voters}))

    def _signers(self) -> Signers:
        if self._admission.signers is None:
            raise PreconditionError(
                "the cluster's authority is not on this node; do this on the node where the mesh was founded",
                reason="NO_AUTHORITY",
            )
        return self._admission.signers


def _no_rotation() -> PreconditionError:
    return PreconditionError(
        "no rotation is under way; begin one with: weftmesh cert rotate-ca begin", reason="NO_ROTATION"
    )
