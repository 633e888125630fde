"""The table of permissions: for every method of every service of a node, what it needs and where.

It is the only place that says so. A method without a row is refused; `tests/unit/agent/access` fails when a service has
a method that is not here, and when docs/access.md says something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from weftmesh.agent.access import places
from weftmesh.agent.access.places import Locate
from weftmesh.core.access.roles import Permission

BACKUP_ACCOUNT: Final = "weftmesh-backup"


class Rule(NamedTuple):
    """What one method needs.

    Attributes:
        need: the permission.
        where: finds the place in a request; of a method that takes a stream, only the mesh.
        changes: whether it changes something: then every call is in the audit log, not only those that were refused.
        accounts: service accounts that may, whatever their role.
        strict: whether a place that no binding concerns is closed all the same.
        each_write: the request carries writes to the board, and each is judged by `WRITE_RULES`.
        over_all: it gets at every project: a role on any of them closes it, also while the mesh has none.
    """

    need: Permission
    where: Locate = places.mesh
    changes: bool = False
    accounts: frozenset[str] = frozenset()
    strict: bool = False
    each_write: bool = False
    over_all: bool = False


_CALL: Final = Rule(Permission.CALL)
_PEER: Final = Rule(Permission.PEER)
_SERVE: Final = Rule(Permission.SERVE)
_VIEW_MESH: Final = Rule(Permission.VIEW)
_ADMINISTER_MESH: Final = Rule(Permission.ADMINISTER, changes=True)
_OPEN_THE_MESH: Final = Rule(Permission.ADMINISTER, changes=True, over_all=True)

_BOARD: Final[Mapping[str, Rule]] = {
    "CreateProject": Rule(Permission.EDIT, places.project_id, changes=True),
    "GetProject": Rule(Permission.VIEW, places.project_name),
    "ListProjects": Rule(Permission.VIEW, places.every),
    "UpdateProject": Rule(Permission.ADMINISTER, places.project_resource, changes=True),
    "DeleteProject": Rule(Permission.ADMINISTER, places.project_name, changes=True),
    "UndeleteProject": Rule(Permission.ADMINISTER, places.project_name, changes=True),
    "CreateTask": Rule(Permission.EDIT, places.parent, changes=True),
    "GetTask": Rule(Permission.VIEW, places.task_name),
    "ListTasks": Rule(Permission.VIEW, places.parent),
    "UpdateTask": Rule(Permission.EDIT, places.task_resource, changes=True),
    "ClaimTask": Rule(Permission.EDIT, places.task_name, changes=True),
    "RevertTask": Rule(Permission.EDIT, places.task_name, changes=True),
    "DeleteTask": Rule(Permission.EDIT, places.task_name, changes=True),
    "UndeleteTask": Rule(Permission.EDIT, places.task_name, changes=True),
    "ListTaskHistory": Rule(Permission.VIEW, places.task_name),
    "ListConflicts": Rule(Permission.VIEW, places.parent),
    "ResolveConflict": Rule(Permission.EDIT, places.conflict_name, changes=True),
    "Write": Rule(Permission.CALL, changes=True, each_write=True),
    "QueueWrite": Rule(Permission.CALL, changes=True, each_write=True),
    "ListQueuedWrites": Rule(Permission.VIEW, places.parent),
    "RetryQueuedWrite": Rule(Permission.EDIT, places.queued_name, changes=True),
    "DiscardQueuedWrite": Rule(Permission.EDIT, places.queued_name, changes=True),
    "Watch": Rule(Permission.VIEW, places.parent),
}

_SERVICES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "weftmesh.board.v1.BoardService": _BOARD,
    "weftmesh.access.v1.AccessService": {
        # What it lists, and whom it answers about, it looks at itself: everybody may ask about oneself.
        "ListBindings": _CALL,
        "CheckAccess": _CALL,
        "WhoAmI": _CALL,
        "ChangeAccess": Rule(Permission.ADMINISTER, places.role_change, changes=True, strict=True),
    },
    "weftmesh.access.v1.AuditLogService": {
        "ReadAuditLog": Rule(Permission.ADMINISTER, strict=True),
        "VerifyAuditLog": Rule(Permission.ADMINISTER, strict=True),
    },
    "weftmesh.mesh.v1.MeshService": {
        "GetStatus": _CALL,
        "ListMembers": _CALL,
        # Whoever is root of a node has all that members have.
        "CreateJoinToken": _OPEN_THE_MESH,
        "ListJoinTokens": Rule(Permission.ADMINISTER),
        "RevokeJoinToken": _ADMINISTER_MESH,
        "AddMember": Rule(Permission.PEER, changes=True),
        "PromoteMember": _ADMINISTER_MESH,
        "DemoteMember": _ADMINISTER_MESH,
        "RemoveMember": _ADMINISTER_MESH,
        "Leave": _ADMINISTER_MESH,
    },
    "weftmesh.mesh.v1.TrustService": {
        "GetCertificates": _CALL,
        "RenewCertificate": _ADMINISTER_MESH,
        "RevokeCertificates": _ADMINISTER_MESH,
        "ReadmitCertificate": _OPEN_THE_MESH,
        "RotateAuthority": _ADMINISTER_MESH,
    },
    "weftmesh.mesh.v1.UpgradeService": {"GetUpgradeState": _CALL},
    # On its own port, for who has a join token and no certificate yet: nobody is asked who it is.
    "weftmesh.mesh.v1.EnrollmentService": {"Enroll": Rule(Permission.CALL, changes=True)},
    "weftmesh.mesh.v1.RenewalService": {"Renew": Rule(Permission.PEER, changes=True)},
    "weftmesh.mesh.v1.RaftService": {"Exchange": _PEER, "InstallSnapshot": _PEER},
    "weftmesh.mesh.v1.BackupService": {
        "TakeBackup": Rule(Permission.ADMINISTER, changes=True, accounts=frozenset({BACKUP_ACCOUNT}), over_all=True),
    },
    "weftmesh.mesh.v1.RecoveryService": {"RecoverQuorum": _ADMINISTER_MESH},
    "weftmesh.mesh.v1.AuditService": {
        "ListAcknowledged": _PEER,
        "CheckHistory": _PEER,
        "RunAudit": _VIEW_MESH,
    },
    "weftmesh.ola.v1.OlaService": {
        "GetAgreements": _VIEW_MESH,
        "WatchAgreements": _VIEW_MESH,
        "GetHistory": _VIEW_MESH,
        # A breach opens tasks in any project, by the hand of the coordinator.
        "ChangeAgreements": Rule(Permission.EDIT, changes=True, over_all=True),
        "RecordWindow": _SERVE,
        "ConfirmWindow": _SERVE,
    },
    "weftmesh.learning.v1.LearningService": {
        "WatchDuty": _SERVE,
        "Propose": _SERVE,
        "Exchange": _SERVE,
        "Attend": _SERVE,
        "SignStatement": _SERVE,
        "CheckStatements": _SERVE,
        "PutModel": _SERVE,
        "GetModel": _SERVE,
        "GetLearning": _VIEW_MESH,
        "ListCycleTimes": _SERVE,
        "AwaitIntent": _VIEW_MESH,
        "ChangeLearning": _ADMINISTER_MESH,
        "ForecastTask": Rule(Permission.VIEW, places.task_name),
        "DryRun": _VIEW_MESH,
    },
    "weftmesh.learning.v1.LearningPeerService": {
        "Exchange": _PEER,
        "StoreModel": _PEER,
        "FetchModel": _PEER,
        "ShowCertificate": _PEER,
    },
    "weftmesh.privacy.v1.PrivacyService": {
        "RecordEgress": _SERVE,
        "ReportEgress": _VIEW_MESH,
        "VerifyLedger": _VIEW_MESH,
    },
    # What everybody may know of a server: whether it serves, and what.
    "grpc.health.v1.Health": {"Check": _CALL, "Watch": _CALL},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": _CALL},
}

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {f"/{service}/{method}": rule for service, rules in _SERVICES.items() for method, rule in rules.items()}
)
"""By the method as gRPC names it."""

WRITE_RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "create_project": _BOARD["CreateProject"],
        "update_project": _BOARD["UpdateProject"],
        "delete_project": _BOARD["DeleteProject"],
        "undelete_project": _BOARD["UndeleteProject"],
        "create_task": _BOARD["CreateTask"],
        "update_task": _BOARD["UpdateTask"],
        "claim_task": _BOARD["ClaimTask"],
        "revert_task": _BOARD["RevertTask"],
        "delete_task": _BOARD["DeleteTask"],
        "undelete_task": _BOARD["UndeleteTask"],
        "resolve_conflict": _BOARD["ResolveConflict"],
    }
)
"""By the case of a write in a stream, or in the queue."""
