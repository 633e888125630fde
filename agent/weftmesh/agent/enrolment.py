"""How nodes get certificates and keep them: everything about enrolment and renewal that one node needs, wired."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from weftmesh.agent.enrolment_port import EnrollmentListener
from weftmesh.agent.enrolment_service import EnrollmentServicer
from weftmesh.agent.renewal import Renew, RenewalServicer, RenewalTask, ask_members
from weftmesh.core.errors import PreconditionError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.join_line import JoinLine
from weftmesh.runtime.identity.store import IdentityStore
from weftmesh.runtime.identity.tokens import DEFAULT_TTL, TokenRecord, TokenStore

log = structlog.get_logger("weftmesh.enrolment")


class Enrolment:
    """One node's part in it; the authority's tasks only where the authority is.

    Args:
        store: this node's identity on disk.
        identity: the same in memory; replaced on renewal.
        listen: host:port of the enrolment port.
        members: the mesh's members now.

    Attributes:
        tokens: for MeshService.
        renewal: to be served on the mesh port.

    Raises:
        WeftmeshError: the authority or the tokens cannot be read.
    """

    def __init__(
        self,
        store: IdentityStore,
        identity: NodeIdentity,
        listen: str,
        members: Callable[[], Sequence[mesh_pb2.Member]],
    ) -> None:
        self._identity = identity
        self._listen = listen
        self._members = members
        authority = store.load_authority() if store.has_authority else None
        tokens = TokenStore(store.tokens_path)
        self._listener = self._make_listener(authority, tokens) if authority else None
        self.tokens = TokenRegistry(authority, tokens, self._listener)
        self.renewal = RenewalServicer(authority, identity.cluster, is_member=self._is_member)
        self._renewing = RenewalTask(identity, store, self._renew_here if authority else self._ask_members())
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the enrolment port if tokens live, and begin to look after this node's certificate."""
        if self._listener is not None:
            await self._listener.start()
        self._task = asyncio.create_task(self._renewing.run(), name="certificate-renewal")
        self._task.add_done_callback(_report_end)

    async def stop(self) -> None:
        """Close the port and stop renewing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._listener is not None:
            await self._listener.stop()

    def _make_listener(self, authority: Authority, tokens: TokenStore) -> EnrollmentListener:
        servicer = EnrollmentServicer(authority, tokens, seeds=self._seeds, is_member=self._is_member)
        return EnrollmentListener(self._listen, self._advertised_host, authority, tokens, servicer)

    def _seeds(self) -> list[Seed]:
        return [Seed(member.name, member.address) for member in self._members()]

    def _is_member(self, node: str) -> bool:
        return any(member.name == node for member in self._members())

    def _advertised_host(self) -> str:
        """Joiners reach this node where its peers do."""
        own = [seed.address for seed in self._seeds() if seed.name == self._identity.node]
        return split_address(own[0] if own else self._listen)[0]

    def _ask_members(self) -> Renew:
        return ask_members(self._identity, self._seeds)

    async def _renew_here(self, signing_request_der: bytes) -> bytes:
        return self.renewal.issue(self._identity.node, signing_request_der)


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("certificate renewal has ended; restart this node", exc_info=error)


class TokenRegistry:
    """Join tokens as MeshService shows them; on a node without the authority, every change is refused.

    Args:
        authority: whose fingerprint join lines carry; None where it is not.
        tokens: keeps them.
        listener: is opened for them; None where the authority is not.
    """

    def __init__(self, authority: Authority | None, tokens: TokenStore, listener: EnrollmentListener | None) -> None:
        self._authority = authority
        self._tokens = tokens
        self._listener = listener

    async def create(self, request: mesh_pb2.CreateJoinTokenRequest) -> mesh_pb2.JoinToken:
        """Make a token and open the enrolment port; only this answer has the join line.

        Raises:
            PreconditionError: the authority is on another node, or the port cannot be opened.
            InvalidInputError: the lifetime or the name is out of bounds.
            OverloadedError: as many tokens live as may.
        """
        authority, listener = self._here()
        ttl = request.ttl.ToTimedelta() if request.HasField("ttl") else DEFAULT_TTL
        if request.validate_only:
            return _shown(self._tokens.check_request(ttl, request.node_name))
        record, secret = await asyncio.to_thread(self._tokens.create, ttl, request.node_name)
        try:
            await listener.ensure()
        except WeftmeshError:
            await asyncio.to_thread(self._tokens.revoke, record.token_id)
            raise
        shown = _shown(record)
        shown.join_command = str(JoinLine(listener.address, record.token_id, secret, authority.pin))
        return shown

    def list(self) -> list[mesh_pb2.JoinToken]:
        """Every token that is remembered, without secrets, oldest first."""
        return [_shown(record) for record in self._tokens.records()]

    async def revoke(self, request: mesh_pb2.RevokeJoinTokenRequest) -> mesh_pb2.JoinToken:
        """Make a token useless at once.

        Raises:
            NotFoundError: there is no such token here.
            PreconditionError: it was used already.
        """
        if request.validate_only:
            return _shown(self._tokens.find(request.token_id))
        return _shown(await asyncio.to_thread(self._tokens.revoke, request.token_id))

    def _here(self) -> tuple[Authority, EnrollmentListener]:
        if self._authority is None or self._listener is None:
            raise PreconditionError(
                "the cluster's authority is not on this node; make join tokens on the node where the mesh was founded",
                reason="NO_AUTHORITY",
            )
        return self._authority, self._listener


def _shown(record: TokenRecord) -> mesh_pb2.JoinToken:
    shown = mesh_pb2.JoinToken(
        token_id=record.token_id, node_name=record.node_name, state=record.state.value, used_by=record.used_by
    )
    shown.expire_time.FromDatetime(record.expire_time)
    return shown
