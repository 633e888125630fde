"""What stands between callers and services on one node, made in one place: roles, their gate, and its journal."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.access.authorizing import Authorizer
from weftmesh.agent.access.enforcing import Enforcement
from weftmesh.agent.access.identities import Identities
from weftmesh.agent.access.places import Places
from weftmesh.agent.access.replica import FILE_NAME, RolesReplica
from weftmesh.agent.access.room import AccessRoom
from weftmesh.agent.audit_log.room import AuditLogRoom, open_audit_log
from weftmesh.agent.rooms import Ground, Room
from weftmesh.agent.serving.accounts import ACCOUNTS
from weftmesh.core.audit_log.entries import Entry, Outcome


class Checkpoint:
    """Decides about calls and notes them.

    Attributes:
        authorizer: decides.
        audit_log: notes.
        enforcement: the interceptor that asks both.

    Raises:
        DataCorruptionError: the roles that this node remembers cannot be read.
        OSError: the audit log's directory cannot be used.
    """

    def __init__(self, ground: Ground) -> None:
        config, mesh = ground.config, ground.homes.mesh
        self._roles = RolesReplica(mesh, config.node.data_dir / FILE_NAME)
        self.authorizer = Authorizer(
            self._roles, Identities(ground.identity.node), Places(ground.homes), config.mesh.group
        )
        ACCOUNTS.on_change(self.authorizer.forget)
        self.audit_log = open_audit_log(config, ground.disk())
        self.enforcement = Enforcement(self.authorizer, ground.callers, self.audit_log)
        for home in ground.homes.all():
            # What a watcher may see may be another set now.
            self.authorizer.on_change(home.feed.wake)

    def note_enrolment(self, node: str, host: str, serial: str, refusal: str) -> None:
        """Note that a node with a join token got a certificate, or why it did not."""
        outcome, fields = (Outcome.DENIED, ()) if refusal else (Outcome.DONE, (f"serial={serial}",))
        entry = Entry(f"joining:{node}", host, "EnrollmentService/Enroll", "", node, fields, "", outcome, refusal)
        self.audit_log.event(entry)

    def rooms(self, ground: Ground) -> Sequence[Room]:
        """What is served of it."""
        return [AuditLogRoom(ground, self.audit_log, self._roles), AccessRoom(ground, self.authorizer)]
