"""The AccessService: who has which role, who may give one, and what the caller is to this node."""

from __future__ import annotations

from contextlib import suppress
from zlib import crc32

from weftmesh.access.v1 import access_pb2, access_pb2_grpc
from weftmesh.access.v1.command_pb2 import AccessCommand
from weftmesh.agent.access.answering import binding_message, effects_of, role_number
from weftmesh.agent.access.authorizing import Authorizer
from weftmesh.agent.access.identities import SERVICE_ACCOUNTS, is_break_glass
from weftmesh.agent.access.permissions import Rule
from weftmesh.agent.board.machine_log import MachineLog, error_of
from weftmesh.agent.features import Features
from weftmesh.agent.serving.callers import Caller, Callers, Context
from weftmesh.agent.serving.requests import call_of, fresh_request_id
from weftmesh.core.access.commands import Command, GrantRole
from weftmesh.core.access.deciding import granters, is_governed, permits, role_of
from weftmesh.core.access.model import MESH, place_text
from weftmesh.core.access.outcomes import AccessOutcome
from weftmesh.core.access.roles import ROLE_NEEDED, Permission, permission_named
from weftmesh.core.access.subjects import SubjectKind, account_subjects, parse_subject
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import ForbiddenError, InvalidInputError, OverloadedError
from weftmesh.core.features.levels import Feature
from weftmesh.core.ids import check_project_id
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.access_commands import decode_access_command
from weftmesh.runtime.wire.requests import parse_request_id

_VIEW = Rule(Permission.VIEW)


class AccessServicer(access_pb2_grpc.AccessServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.access.v1.AccessService; access.proto documents each method."""

    def __init__(
        self,
        node: str,
        authorizer: Authorizer,
        callers: Callers,
        log: MachineLog[AccessOutcome],
        clock: HybridClock,
        features: Features,
    ) -> None:
        self._node = node
        self._authorizer = authorizer
        self._callers = callers
        self._log = log
        self._clock = clock
        self._features = features

    async def ListBindings(  # noqa: N802
        self, request: access_pb2.ListBindingsRequest, context: Context
    ) -> access_pb2.ListBindingsResponse:
        """See access.proto."""
        caller = self._callers.local(context)
        access, sight = self._authorizer.replica.access, self._authorizer.sight(caller)
        own = self._authorizer.identities.subjects(caller)
        shown = [
            binding_message(one)
            for one in access.bindings()
            if request.project in ("", one.project)
            and request.subject in ("", one.subject)
            and (one.subject in own or sight.sees(one.project))
        ]
        return access_pb2.ListBindingsResponse(
            bindings=shown, revision=access.revision, mesh_governed=bool(access.roles_on(MESH))
        )

    async def ChangeAccess(  # noqa: N802
        self, request: access_pb2.ChangeAccessRequest, context: Context
    ) -> access_pb2.ChangeAccessResponse:
        """See access.proto."""
        caller = self._callers.local(context)
        call = call_of(caller, context)
        command = self._command(request, caller)
        decoded = decode_access_command(command)  # what nobody can read does not enter the log
        access = self._authorizer.replica.access
        effects = effects_of(access, decoded)
        outcome = access.preview(decoded)
        if not outcome.ok:
            raise error_of(outcome)
        await self._features.require(Feature.ROLES)
        effects += await self._unknown(decoded)
        if not request.validate_only:
            outcome = await self._log.write(command, call.remaining_s)
        return access_pb2.ChangeAccessResponse(
            kind=outcome.kind, revision=outcome.revision, subject=outcome.subject, effects=effects
        )

    async def _unknown(self, command: Command) -> list[str]:
        """In words, that the system of this node does not know who is given a role: other nodes may."""
        subject = parse_subject(command.subject)
        if not isinstance(command, GrantRole) or subject.kind is SubjectKind.NODE:
            return []
        if subject.node not in ("", self._node):
            return []
        with suppress(OverloadedError):
            if not await self._authorizer.identities.is_known(subject.kind, subject.name):
                return [f"the system of {self._node} knows no {subject.kind} {subject.name}; other nodes may"]
        return []

    def _command(self, request: access_pb2.ChangeAccessRequest, caller: Caller) -> AccessCommand:
        kind = request.WhichOneof("change")
        if kind is None:
            raise InvalidInputError("the request names no change that this node knows; set one, or upgrade the node")
        command = AccessCommand()
        body = getattr(command, kind)
        body.CopyFrom(getattr(request, kind))
        body.subject = str(parse_subject(body.subject))
        command.request_digest = crc32(f"{caller.user}\0".encode() + command.SerializeToString(deterministic=True))
        command.request_id = parse_request_id(request.request_id) or fresh_request_id()
        command.actor = caller.actor
        command.stamp = self._clock.tick(wall_ms())
        return command

    async def CheckAccess(  # noqa: N802
        self, request: access_pb2.CheckAccessRequest, context: Context
    ) -> access_pb2.CheckAccessResponse:
        """See access.proto."""
        caller = self._callers.local(context)
        subject, permission = parse_subject(request.subject), permission_named(request.permission)
        project = check_project_id(request.project) if request.project else MESH
        own = self._authorizer.identities.subjects(caller)
        if str(subject) not in own and not self._authorizer.may(caller, Permission.ADMINISTER, project):
            raise ForbiddenError(
                f"{caller.actor} may ask about itself, and admins of {place_text(project)} about everybody there",
                reason="ROLE_NEEDED",
            )
        names: tuple[str, ...] = (str(subject),)
        if subject.node:
            names = account_subjects(subject.kind, subject.name, subject.node)
        if subject.kind is SubjectKind.USER and subject.node in ("", self._node):
            names = await self._authorizer.identities.subjects_of_user(subject.name)
        access = self._authorizer.replica.access
        role = role_of(access, names, project)
        if not is_governed(access, project):
            return access_pb2.CheckAccessResponse(allowed=True, basis=access_pb2.BASIS_OPEN, role=role_number(role))
        if permits(role, permission):
            return access_pb2.CheckAccessResponse(allowed=True, basis=access_pb2.BASIS_BINDING, role=role_number(role))
        if subject.kind is SubjectKind.USER and permits(SERVICE_ACCOUNTS.get(subject.name), permission):
            own_role = role_number(SERVICE_ACCOUNTS[subject.name])
            return access_pb2.CheckAccessResponse(allowed=True, basis=access_pb2.BASIS_SERVICE_ACCOUNT, role=own_role)
        if str(subject) in own and is_break_glass(caller):
            return access_pb2.CheckAccessResponse(allowed=True, basis=access_pb2.BASIS_BREAK_GLASS)
        has = "no role" if role is None else f"the role {role.name.lower()}"
        who = ", ".join(granters(access, project)) or "nobody by a role"
        needed = ROLE_NEEDED[permission].name.lower()
        why = (
            f"{subject} has {has} on {place_text(project)}; to {permission} takes {needed}. It can be granted by: "
            f"{who}, and root of a node"
        )
        return access_pb2.CheckAccessResponse(role=role_number(role), why=why)

    async def WhoAmI(  # noqa: N802
        self,
        request: access_pb2.WhoAmIRequest,  # noqa: ARG002
        context: Context,
    ) -> access_pb2.WhoAmIResponse:
        """See access.proto."""
        caller = self._callers.of(context)
        access, subjects = self._authorizer.replica.access, self._authorizer.identities.subjects(caller)
        projects = sorted({one.project for one in access.bindings() if one.subject in subjects} | {MESH})
        standings = []
        for project in projects:
            decision = self._authorizer.decide(caller, _VIEW, project)
            role = role_of(access, subjects, project) if decision.role is None else decision.role
            standings.append(access_pb2.Standing(project=project, role=role_number(role), basis=decision.basis))
        return access_pb2.WhoAmIResponse(
            actor=caller.actor,
            subjects=subjects,
            break_glass=is_break_glass(caller),
            service_account=caller.user if caller.user in SERVICE_ACCOUNTS else "",
            standings=standings,
        )
