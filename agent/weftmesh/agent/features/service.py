"""The UpgradeService: what every member runs and supports."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import grpc

from weftmesh.agent.backup_service import BACKUP_MARK
from weftmesh.agent.features.census import Support
from weftmesh.agent.rooms import Ground
from weftmesh.agent.serving.requests import call_of
from weftmesh.agent.status import StatusReporter, member_role
from weftmesh.core.clock import stamp_to_ms
from weftmesh.mesh.v1 import mesh_pb2, upgrade_pb2, upgrade_pb2_grpc

ASK_S: Final = 2.0
ANSWER_S: Final = 0.3
"""Left of a caller's time to answer without those that are silent."""
Context = grpc.aio.ServicerContext[Any, Any]


class UpgradeServicer(upgrade_pb2_grpc.UpgradeServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.UpgradeService; upgrade.proto documents it."""

    def __init__(self, ground: Ground, reporter: StatusReporter) -> None:
        self._node = ground.identity.node
        self._mesh = ground.homes.mesh
        self._backup_mark = ground.config.node.data_dir / BACKUP_MARK
        self._features = ground.features
        self._reporter = reporter
        self._callers = ground.callers

    async def GetUpgradeState(  # noqa: N802
        self,
        request: upgrade_pb2.GetUpgradeStateRequest,  # noqa: ARG002
        context: Context,
    ) -> upgrade_pb2.UpgradeState:
        """See upgrade.proto."""
        call = call_of(self._callers.local(context), context)
        raft = self._mesh.engine.status()
        members = {**raft.observers, **raft.voters}
        answers = await self._features.census.ask(members, max(min(ASK_S, call.remaining_s - ANSWER_S), 0.1))
        state = upgrade_pb2.UpgradeState(
            node=self._node,
            feature_level=self._features.level,
            raised=self._raised(),
            members=[self._build(one, members[one.node], member_role(raft, one.node)) for one in answers],
        )
        with suppress(OSError):
            state.last_backup_time.FromSeconds(int(self._backup_mark.stat().st_mtime))
        return state

    def _raised(self) -> list[upgrade_pb2.RaisedFeatureLevel]:
        raised = []
        for one in self._mesh.machine.levels_raised:
            row = upgrade_pb2.RaisedFeatureLevel(level=one.level, raised_by=one.actor)
            row.raise_time.FromMilliseconds(stamp_to_ms(one.stamp))
            raised.append(row)
        return raised

    def _build(self, answer: Support, address: str, role: mesh_pb2.MemberRole) -> upgrade_pb2.MemberBuild:
        build = upgrade_pb2.MemberBuild(
            name=answer.node,
            address=address,
            role=role,
            supported_feature_level=answer.level,
            error=answer.why,
        )
        status = self._reporter.node_status() if answer.node == self._node else answer.status
        if status is not None:
            build.status.CopyFrom(status)
        return build
