"""Keeps this node in step with what the mesh says of trust: whom to trust, who signs, who is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from weftmesh.agent.enrolment.admission import Admission
from weftmesh.agent.trust.gate import Gate
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.trust.commands import ReportCertificate
from weftmesh.core.trust.rows import AuthorityState, Phase
from weftmesh.runtime.doors.cutting import RevocationInterceptor
from weftmesh.runtime.identity.certificates import certificate_in
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.store import IdentityStore

LOOK_S: Final = 2.0
RECONNECT_S: Final = 0.5
"""Between two streams that are opened anew: never are all of a node's down at a time."""
REPORT_S: Final = 5.0
"""For a report to be applied here."""

log = structlog.get_logger("weftmesh.trust")


class TrustKeeper:
    """Follows the machine of trust for as long as the node lives.

    Args:
        identity: is given whom to trust.
        store: has it first.
        log_: of the mesh; reports are written there.
        admission: signs where the authority is, and renews this node's certificate.
        gate: says who is revoked.
        interceptor: cuts calls from them.
        cut_stream: cuts what this node sends to a peer; it is connected anew, if it may be.
        members: of the mesh.
        from_files: certificates come from elsewhere, and so does whom to trust.
    """

    def __init__(
        self,
        identity: NodeIdentity,
        store: IdentityStore,
        log_: TrustLog,
        admission: Admission,
        gate: Gate,
        interceptor: RevocationInterceptor,
        cut_stream: Callable[[str], None],
        members: Callable[[], Sequence[Seed]],
        *,
        from_files: bool = False,
    ) -> None:
        self._identity = identity
        self._store = store
        self._log = log_
        self._admission = admission
        self._gate = gate
        self._interceptor = interceptor
        self._cut_stream = cut_stream
        self._members = members
        self._from_files = from_files
        self._changed = asyncio.Event()
        self._revoked: frozenset[str] = frozenset()
        self._told_of_itself = False
        self._unreadable: frozenset[str] = frozenset()

    def note(self) -> None:
        """The machine has changed: cut off at once whoever is revoked, and see to the rest soon."""
        self._changed.set()
        revoked = frozenset(one.node for one in self._log.trust.read.revocations() if not self._gate.may_dial(one.node))
        self._interceptor.cut()
        for node in revoked - self._revoked:
            self._cut_stream(node)
        if revoked - self._revoked:
            self._identity.reopen_channels()
        self._revoked = revoked

    async def run(self) -> None:
        """Run until cancelled."""
        shown = self._identity.material.authority_sha256
        while True:
            self._changed.clear()
            try:
                await self.step()
                if shown != self._identity.material.authority_sha256:
                    shown = self._identity.material.authority_sha256
                    await self._reconnect()
            except (WeftmeshError, OSError) as error:
                log.warning("this node is not in step with what the mesh trusts", why=str(error))
            # Its certificate may be renewed, and a node that could not be reached may be back.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()

    async def step(self) -> None:
        """Do what is to be done now.

        Raises:
            WeftmeshError: a report could not be written, or a key is missing.
            OSError: the disk refuses.
        """
        if not self._from_files:
            await self._trust_authorities()
            self._sign_with_the_issuing_one()
            if self._admission.is_stale(self._identity.material):
                self._admission.renewing.hurry()
        if self._tell_of_itself():
            return
        if not self._is_in_step():
            await self._report()

    async def _reconnect(self) -> None:
        """Have peers see the certificate of the new authority before the old one is trusted no more, one by one."""
        for member in self._members():
            if member.name != self._identity.node:
                self._cut_stream(member.name)
                await asyncio.sleep(RECONNECT_S)

    def _is_in_step(self) -> bool:
        """Whether the log says of this node what is true; nothing has to be said while nobody ever changed trust."""
        trust = self._log.trust
        return not trust.revision or not self._log.is_ready or self._told() == self._truth()

    async def _trust_authorities(self) -> None:
        authorities = self._log.trust.read.authorities()
        material = self._identity.material
        if not authorities:
            return
        # The machine reads no certificate, and every member may write: what is none is trusted by nobody.
        wanted = [one.certificate for one in authorities if certificate_in(one.certificate) is not None]
        self._tell_of_unreadable(frozenset(one.sha256 for one in authorities if one.certificate not in wanted))
        own = material.trusted[material.authority_sha256]
        if own not in wanted:
            wanted.append(own)
            log.error(
                "this node's certificate is of an authority that the mesh trusts no more: on the node with the "
                "authority run `weftmesh token create --for` this node, and here `weftmesh join --again`",
                node=material.node,
            )
        if set(wanted) == set(material.trusted.values()):
            return
        await asyncio.to_thread(self._store.save_trusted, material.trusting(wanted))
        # Its certificate may have been renewed meanwhile.
        self._identity.replace(self._identity.material.trusting(wanted))
        log.info("authorities to trust", authorities=[one[:16] for one in self._identity.material.trusted])

    def _tell_of_unreadable(self, unreadable: frozenset[str]) -> None:
        """The log has each once."""
        for sha256 in sorted(unreadable - self._unreadable):
            log.error(
                "what the mesh was told to trust as an authority is no certificate, and is not trusted: see who wrote "
                "it with `weftmesh audit`, and give the rotation up with `weftmesh cert rotate-ca abandon`",
                authority=sha256,
            )
        self._unreadable = unreadable

    def _sign_with_the_issuing_one(self) -> None:
        signers, read = self._admission.signers, self._log.trust.read
        issuing = read.authority_in(AuthorityState.ISSUING)
        if signers is None or issuing is None:
            return
        if signers.follow(issuing.sha256):
            log.info("certificates are signed by the new authority", authority=issuing.sha256)
        if read.phase is Phase.NONE:
            signers.settle()
        self._admission.recheck_port()

    async def _report(self) -> None:
        serial, key, authority, trusted, not_before_ms, not_after_ms = self._truth()
        make = partial(
            ReportCertificate,
            node=self._identity.node,
            serial=serial,
            key_sha256=key,
            authority=authority,
            trusted=trusted,
            not_before_ms=not_before_ms,
            not_after_ms=not_after_ms,
        )
        await self._log.write(make, f"node:{self._identity.node}", REPORT_S)

    def _truth(self) -> tuple[str, str, str, tuple[str, ...], int, int]:
        material = self._identity.material
        return (
            material.serial,
            material.key_sha256,
            material.authority_sha256,
            tuple(sorted(material.trusted)),
            round(material.not_before.timestamp() * 1000),
            round(material.not_after.timestamp() * 1000),
        )

    def _told(self) -> tuple[str, str, str, tuple[str, ...], int, int] | None:
        said = self._log.trust.read.certificate_of(self._identity.node)
        if said is None:
            return None
        return said.serial, said.key_sha256, said.authority, said.trusted, said.not_before_ms, said.not_after_ms

    def _tell_of_itself(self) -> bool:
        """Whether this node's own certificate is revoked; the log has it once."""
        material = self._identity.material
        revocation = self._log.trust.read.revocation_of(material.node, material.serial, material.key_sha256)
        if revocation is not None and not self._told_of_itself:
            log.error(
                "this node's own certificate is revoked: the others turn it away. On the node with the authority run "
                "`weftmesh token create --for` this node, and here `weftmesh join --again`",
                node=material.node,
                why=revocation.why,
                by=revocation.actor,
            )
        self._told_of_itself = revocation is not None
        return self._told_of_itself
