"""The audit log on one node: what it is told besides calls, and who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from weftmesh.access.v1 import audit_log_pb2, audit_log_pb2_grpc
from weftmesh.agent.access.replica import RolesReplica
from weftmesh.agent.audit_log.log import AuditLog
from weftmesh.agent.audit_log.retention import Retention
from weftmesh.agent.audit_log.service import AuditLogServicer
from weftmesh.agent.chain.appending import Chain
from weftmesh.agent.chain.reading import Form
from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.core.access.outcomes import AccessEvent, Verb
from weftmesh.core.audit_log.entries import AUDIT_CODEC, Entry
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.certificates import load_certificate
from weftmesh.runtime.identity.credentials import NodeIdentity

AUDIT: Final = Form("audit log", ".audit", AUDIT_CODEC)
MIB: Final = 1024 * 1024
NOTE_INTERVAL_S: Final = 24 * 3600.0
LOOK_INTERVAL_S: Final = 30.0
"""At this node's own certificate."""
LOG: Final = "log"
"""Where a record comes from that no call of this node made."""

log = structlog.get_logger("weftmesh.audit")


def open_audit_log(config: Config, disk: SystemDisk) -> AuditLog:
    """The log in a node's data directory.

    Raises:
        OSError: its directory cannot be used.
    """
    chain = Chain.open(config.node.data_dir / "audit", AUDIT, disk)
    retention = Retention(config.audit.keep_days, config.audit.keep_mib * MIB)
    return AuditLog(chain, retention, strict=config.audit.strict)


class AuditLogRoom:
    """Implements `rooms.Room`."""

    def __init__(self, ground: Ground, audit_log: AuditLog, roles: RolesReplica) -> None:
        self._log = audit_log
        self._identity = ground.identity
        self._servicer = AuditLogServicer(audit_log, ground.callers)
        self._members: dict[str, str] | None = None
        roles.on_events(self._roles_changed)
        ground.homes.mesh.engine.on_change(self._members_changed)

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        return [service(audit_log_pb2.DESCRIPTOR, "AuditLogService", audit_log_pb2_grpc, self._servicer, Door.LOCAL)]

    def work(self) -> Sequence[Work]:
        """See Room."""
        return [self._note_anchors(), self._look_at_certificate()]

    async def close(self) -> None:
        """See Room."""
        await self._log.close()

    def _roles_changed(self, events: Sequence[AccessEvent]) -> None:
        """What admins anywhere did: the replicated log brings it to every node."""
        for event in events:
            verb = "granted" if event.verb is Verb.GRANTED else "revoked"
            role = f"role={event.role.name.lower()}"
            self._log.event(Entry(event.actor, LOG, f"access.{verb}", event.project, event.subject, (role,)))

    def _members_changed(self, status: RaftStatus) -> None:
        members = dict.fromkeys(status.observers, "observer") | dict.fromkeys(status.voters, "voter")
        before, self._members = self._members, members
        if before is None or before == members:
            return
        for name in sorted(before.keys() | members.keys()):
            now = members.get(name, "")
            if before.get(name, "") != now:
                verb = "members.removed" if not now else "members.changed" if name in before else "members.added"
                self._log.event(Entry("", LOG, verb, target=name, fields=(now,) if now else ()))

    async def _note_anchors(self) -> None:
        """Once a day the head is noted in the node's own log, where this log cannot change it."""
        while True:
            log.info("audit log", anchor=str(self._log.head))
            await asyncio.sleep(NOTE_INTERVAL_S)

    async def _look_at_certificate(self) -> None:
        generation = self._identity.generation
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            if self._identity.generation != generation:
                generation = self._identity.generation
                self._log.event(_renewed(self._identity))


def _renewed(identity: NodeIdentity) -> Entry:
    serial = load_certificate(identity.material.certificate_pem, what="this node's certificate").serial_number
    return Entry(f"node:{identity.node}", "daemon", "certificate.renewed", target=f"serial={serial:x}")
