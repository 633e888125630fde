"""Who may come in and stay: everything about certificates that one node does, wired together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import structlog

from weftmesh.agent.enrolment.enrolment import TokenRegistry
from weftmesh.agent.enrolment.file_watch import FileWatch
from weftmesh.agent.enrolment.files_registry import FilesRegistry
from weftmesh.agent.enrolment.port import EnrollmentListener
from weftmesh.agent.enrolment.renewal import Renew, RenewalServicer, RenewalTask, ask_members
from weftmesh.agent.enrolment.service import EnrollmentServicer
from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.agent.trust.gate import Gate
from weftmesh.agent.trust.peer_clocks import PeerClocks
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.trust.rows import AuthorityState
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.certificate_files import CertificateFiles
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.signers import Signers
from weftmesh.runtime.identity.store import IdentityStore
from weftmesh.runtime.identity.tokens import TokenStore

log = structlog.get_logger("weftmesh.enrolment")


class Admission:
    """Enrolment of others where the authority is, and renewal of this node's own certificate everywhere.

    Attributes:
        tokens: join tokens, for MeshService.
        signers: the authority, where it is.
        renewing: renews this node's own certificate.
        renewal: the servicer for the mesh port.
        on_enrolment: told of each attempt to enrol; see `EnrollmentServicer`.
        clocks: asked before anything is dated by this node's clock.
    """

    def __init__(
        self,
        config: Config,
        store: IdentityStore,
        identity: NodeIdentity,
        members: Callable[[], Sequence[Seed]],
        gate: Gate,
        trust: TrustLog,
        clocks: PeerClocks,
    ) -> None:
        self.signers = authority = Signers(store) if store.has_authority and not config.tls.from_files else None
        self._trust = trust
        self._members = members
        self.clocks = clocks
        self.on_enrolment: Callable[[str, str, str, str], None] = lambda *_: None
        tokens = TokenStore(store.tokens_path)
        self._listener: EnrollmentListener | None = None
        if authority is not None:
            servicer = EnrollmentServicer(
                authority,
                tokens,
                seeds=members,
                is_member=lambda name: _is_among(name, members()),
                trusted=lambda: list(identity.material.trusted.values()),
                readmit=trust.readmit,
                check_clock=clocks.check,
                notice=lambda *facts: self.on_enrolment(*facts),
            )
            host, _ = split_address(config.mesh.advertise)
            self._listener = EnrollmentListener(config.mesh.enroll_listen, lambda: host, authority, tokens, servicer)
        self.tokens = TokenRegistry(authority, tokens, self._listener)
        self._files: FileWatch | None = None
        if config.tls.from_files:
            self.tokens = FilesRegistry(tokens, identity.node, config.mesh.advertise)
            self._files = FileWatch(CertificateFiles.of(config.tls, os.environ), identity, store)
        self.renewal = RenewalServicer(
            authority,
            identity.cluster,
            is_member=lambda name: _is_among(name, members()),
            check=gate.check_certificate,
            check_clock=clocks.check,
        )
        self.renewing = RenewalTask(identity, store, self._renew(identity, members), is_stale=self.is_stale)

    def _renew(self, identity: NodeIdentity, members: Callable[[], Sequence[Seed]]) -> Renew:
        """Ask the authority here, or else the members for it."""
        ask = ask_members(identity, members)

        async def renew(signing_request_der: bytes) -> bytes:
            try:
                return await self.renewal.issue(identity.node, signing_request_der)
            except WeftmeshError as error:
                if error.reason != "NO_AUTHORITY":
                    raise
            return await ask(signing_request_der)

        return renew

    @property
    def port(self) -> int | None:
        """Where joiners come in; None while no token lives, or where there is no authority."""
        return None if self._listener is None else self._listener.port

    def is_stale(self, material: IdentityMaterial) -> bool:
        """Whether a certificate is of an authority that issues no more."""
        issuing = self._trust.trust.read.authority_in(AuthorityState.ISSUING)
        return issuing is not None and material.authority_sha256 != issuing.sha256

    def recheck_port(self) -> None:
        """Have the enrolment port show the authority that issues."""
        if self._listener is not None:
            self._listener.recheck()

    async def start(self) -> None:
        """Open the enrolment port while join tokens live."""
        if self._listener is not None:
            await self._note_members()
            await self._listener.start()

    async def _note_members(self) -> None:
        """A crash may have come between a member and the note that its token made it one."""
        try:
            for member in self._members():
                await self.tokens.admitted(member.name)
        except OSError as error:
            log.error("tokens that made members cannot be noted as such", why=str(error))  # noqa: TRY400

    async def stop(self) -> None:
        """Close the enrolment port."""
        if self._listener is not None:
            await self._listener.stop()

    async def keep_certificate_fresh(self) -> None:
        """Renew this node's certificate in time, for ever; or take over whatever somebody else puts into the files."""
        await (self.renewing.run() if self._files is None else self._files.run())


def members_of(status: RaftStatus) -> list[Seed]:
    """All members, observers too: an observer keeps its name, renews its certificate, and can take in whoever joins."""
    return [Seed(name, address) for name, address in sorted({**status.observers, **status.voters}.items())]


def _is_among(name: str, members: Sequence[Seed]) -> bool:
    return any(member.name == name for member in members)
