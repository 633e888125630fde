"""The decision: may this caller do that there? Pure lookups of what is known, remembered until bindings change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from weftmesh.access.v1 import access_pb2
from weftmesh.agent.access.identities import (
    GROUPS_FRESH_S,
    SERVICE_ACCOUNTS,
    SERVING_ACCOUNTS,
    Identities,
    is_break_glass,
)
from weftmesh.agent.access.permissions import WRITE_RULES, Rule
from weftmesh.agent.access.places import Places, Spot
from weftmesh.agent.access.replica import RolesReplica
from weftmesh.agent.serving.callers import Caller
from weftmesh.agent.serving.local_socket import LocalCaller
from weftmesh.agent.serving.trusted import is_trusted
from weftmesh.core.access.deciding import granters, is_governed, permits, role_of
from weftmesh.core.access.model import MESH, place_text
from weftmesh.core.access.roles import ROLE_NEEDED, Permission, Role
from weftmesh.core.errors import ForbiddenError, InvalidInputError, NotFoundError

DECISIONS_MAX: Final = 16_384
ROLE_NEEDED_REASON: Final = "ROLE_NEEDED"
GRANTERS_NAMED_MAX: Final = 5


class Decision(NamedTuple):
    """What was decided, and by what."""

    allowed: bool
    basis: access_pb2.Basis
    role: Role | None = None


_OPEN: Final = Decision(True, access_pb2.BASIS_OPEN)
_MEMBER: Final = Decision(True, access_pb2.BASIS_MEMBER)
_BREAK_GLASS: Final = Decision(True, access_pb2.BASIS_BREAK_GLASS, Role.ADMIN)
_NO: Final = Decision(False, access_pb2.BASIS_UNSPECIFIED)


class Authorizer:
    """Decides for every service of a node. On the event loop only.

    Args:
        replica: what bindings there are.
        identities: who callers are to them.
        places: finds projects.
        group: the Unix group of the local socket.
    """

    def __init__(self, replica: RolesReplica, identities: Identities, places: Places, group: str) -> None:
        self.replica = replica
        self.identities = identities
        self.places = places
        self._group = group
        self._known: dict[tuple[object, ...], Decision] = {}
        self._forget_at_s = 0.0
        self._changed: list[Callable[[], None]] = []
        replica.on_change(self.forget)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after bindings changed: what callers may see may be another set now."""
        self._changed.append(listener)

    def admit(self, rule: Rule, request: Any, caller: Caller) -> Decision:
        """Why a call is allowed.

        Raises:
            ForbiddenError: it is not; the message names the role, the place, and who can give it.
            NotFoundError: it is about something that the caller may not know of.
            InvalidInputError: a name in the request is none.
        """
        if rule.need is Permission.CALL:
            return _OPEN
        if rule.need is Permission.PEER:
            return self._peer(caller)
        if not self.replica.any_bindings and not rule.strict and rule.need is not Permission.SERVE:
            return _OPEN
        spot = rule.where(request, self.places)
        if spot is None:
            return _OPEN  # the method shows what the caller may see
        decision = self.decide(caller, rule, spot.project)
        if not decision.allowed:
            raise self._refusal(caller, rule, spot, decision)
        return decision

    def admit_write(self, caller: Caller, case: str | None, request: Any) -> Decision:
        """`admit` of one write of a stream, or for the queue, by its case."""
        if not self.replica.any_bindings:
            return _OPEN
        rule = WRITE_RULES.get(case or "")
        if rule is None:
            raise InvalidInputError("the write is of no kind that this node knows; set one of WriteRequest.write")
        return self.admit(rule, request, caller)

    def decide(self, caller: Caller, rule: Rule, project: str) -> Decision:
        """What is decided; remembered until bindings change, at most as long as groups are."""
        now_s = time.monotonic()
        if now_s >= self._forget_at_s or len(self._known) >= DECISIONS_MAX:
            self._known.clear()
            self._forget_at_s = now_s + GROUPS_FRESH_S
        key = (caller.uid, caller.gid, caller.node, rule.need, rule.strict, rule.over_all, rule.accounts, project)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._decided(caller, rule, project)
        return known

    def may(self, caller: Caller, permission: Permission, project: str) -> bool:
        """Whether a caller has a permission somewhere."""
        return self.decide(caller, Rule(permission), project).allowed

    def sight(self, caller: Caller) -> Sight:
        """What a caller may see, now and as it changes."""
        return Sight(self, caller)

    def forget(self) -> None:
        """Decide anew: bindings, or what the system says of callers, have changed."""
        self._known.clear()
        for listener in self._changed:
            listener()

    def _decided(self, caller: Caller, rule: Rule, project: str) -> Decision:
        access = self.replica.access
        governed = is_governed(access, project) or (rule.over_all and self.replica.any_bindings)
        if rule.need is Permission.SERVE:
            return self._serving(caller, governed=governed)
        if not governed and not rule.strict:
            return _OPEN
        if is_break_glass(caller):
            return _BREAK_GLASS
        role = role_of(access, self.identities.subjects(caller), project)
        if permits(role, rule.need):
            return Decision(True, access_pb2.BASIS_BINDING, role)
        account = "" if caller.node else caller.user
        own = SERVICE_ACCOUNTS.get(account)
        if account in rule.accounts or (permits(own, rule.need) and not rule.strict):
            return Decision(True, access_pb2.BASIS_SERVICE_ACCOUNT, own)
        return _NO._replace(role=role)

    def _serving(self, caller: Caller, *, governed: bool) -> Decision:
        """Whether a caller acts as a process of this node."""
        if caller.node:
            return _NO
        if is_break_glass(caller):
            return _BREAK_GLASS if governed else _OPEN
        if caller.user in SERVING_ACCOUNTS:
            return Decision(True, access_pb2.BASIS_SERVICE_ACCOUNT)
        if not governed:
            return _OPEN if is_trusted(LocalCaller(caller.uid, caller.gid, caller.pid), self._group) else _NO
        role = role_of(self.replica.access, self.identities.subjects(caller), MESH)
        return Decision(role is Role.ADMIN, access_pb2.BASIS_BINDING, role)

    @staticmethod
    def _peer(caller: Caller) -> Decision:
        if not caller.node:
            raise ForbiddenError(
                f"{caller.actor} may not do this: nodes do it among themselves, over the mesh port",
                reason="PEERS_ONLY",
            )
        return _MEMBER

    def _refusal(self, caller: Caller, rule: Rule, spot: Spot, decision: Decision) -> Exception:
        if not spot.named and not self.may(caller, Permission.VIEW, spot.project):
            return NotFoundError("there is no such task here, or not for you; see `weftmesh access whoami`")
        place = place_text(spot.project)
        needed = ROLE_NEEDED.get(rule.need)
        if needed is None:
            return ForbiddenError(
                f"{caller.actor} may not act as a process of this node; its daemon's user, root, the packages' own "
                "users and admins of the mesh may",
                reason=ROLE_NEEDED_REASON,
            )
        role = needed.name.lower()
        has = "no role" if decision.role is None else f"only the role {decision.role.name.lower()}"
        subject = self.identities.subjects(caller)[0]
        who = granters(self.replica.access, spot.project)
        named = ", ".join(who[:GRANTERS_NAMED_MAX]) + (" and others" if len(who) > GRANTERS_NAMED_MAX else "")
        by = f"{named}, or root of a node" if who else "root of a node"
        command = f"weftmesh access grant {subject} {role} {spot.project or 'mesh'}"
        return ForbiddenError(
            f"{caller.actor} has {has} on {place}, and this needs {role} there. {by} can grant it: `{command}`",
            reason=ROLE_NEEDED_REASON,
            metadata={"role": role, "project": spot.project or "mesh", "granters": ",".join(who)},
        )


_VIEW: Final = Rule(Permission.VIEW)


class Sight:
    """What one caller may see, asked again at every use: bindings change while streams are open."""

    __slots__ = ("_authorizer", "_caller")

    def __init__(self, authorizer: Authorizer, caller: Caller) -> None:
        self._authorizer = authorizer
        self._caller = caller

    @property
    def everything(self) -> bool:
        """Whether nothing has to be left out."""
        authorizer = self._authorizer
        if not authorizer.replica.any_bindings:
            return True
        # A role on the mesh is one on every project; bindings of projects alone may hide some.
        mesh_governed = bool(authorizer.replica.access.roles_on(MESH))
        return is_break_glass(self._caller) or (mesh_governed and authorizer.decide(self._caller, _VIEW, MESH).allowed)

    def sees(self, project: str) -> bool:
        """Whether a project is to be shown."""
        return self._authorizer.decide(self._caller, _VIEW, project).allowed
