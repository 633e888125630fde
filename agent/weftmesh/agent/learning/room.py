"""Puts the parts of learning together for one node."""

from __future__ import annotations

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.learning.access import Access
from weftmesh.agent.learning.attendance import Attendance
from weftmesh.agent.learning.command_log import CommandLog
from weftmesh.agent.learning.dry_run import DryRuns
from weftmesh.agent.learning.duty import DutyWatch
from weftmesh.agent.learning.effort_forecasts import EffortForecasts
from weftmesh.agent.learning.egress import LearningEgress, Ledger
from weftmesh.agent.learning.exchanges import Exchanges
from weftmesh.agent.learning.finish_forecasts import FinishForecasts
from weftmesh.agent.learning.forecasts import Forecasts
from weftmesh.agent.learning.heeding import Heeding, Participation
from weftmesh.agent.learning.learner_socket import SOCKET_NAME, LearnerSocket
from weftmesh.agent.learning.member_keys import MemberKeys
from weftmesh.agent.learning.model_sharing import ModelSharing
from weftmesh.agent.learning.model_store import ModelStore
from weftmesh.agent.learning.peer_service import LearningPeerServicer
from weftmesh.agent.learning.peers import Dial, Peers
from weftmesh.agent.learning.proposing import Proposals
from weftmesh.agent.learning.reading import Reading
from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.learning.round_sizes import EFFORT, FINISH
from weftmesh.agent.learning.served_model import ServedModel
from weftmesh.agent.learning.service import LearningServicer, Parts
from weftmesh.agent.learning.statements import Statements
from weftmesh.agent.learning.training_projects import TrainingProjects
from weftmesh.agent.serving.callers import Callers
from weftmesh.core.clock import HybridClock
from weftmesh.core.forecast import finish_bytes, model_bytes
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.credentials import NodeIdentity


class LearningRoom:
    """Everything of learning on one node; it runs nothing until somebody asks.

    Attributes:
        service: for the local socket.
        peer_service: for the mesh port.
    """

    def __init__(
        self,
        config: Config,
        identity: NodeIdentity,
        homes: Homes,
        callers: Callers,
        clock: HybridClock,
        ledger: Ledger,
        dial: Dial,
    ) -> None:
        node = identity.node
        replica = Replica(homes.mesh)
        egress = LearningEgress(ledger)
        self._peers = Peers(identity, replica, dial)
        self._models = ModelSharing(node, ModelStore(config.node.data_dir / "models"), self._peers, replica, egress)
        attendance = Attendance(
            lambda: learning_pb2.Admitted(node=node, cluster=identity.cluster, term=replica.status.term),
            LearnerSocket(config.node.run_dir / SOCKET_NAME),
        )
        participation = Participation(node, replica)
        projects = TrainingProjects(node, homes, replica)
        reading = Reading(node, replica, projects)
        effort = ServedModel(EFFORT, model_bytes.decode_model, replica, self._models)
        finish = ServedModel(FINISH, finish_bytes.decode_model, replica, self._models)
        parts = Parts(
            access=Access(callers, config.mesh.group),
            duty=DutyWatch(replica),
            proposals=Proposals(node, replica, CommandLog(homes.mesh.engine), clock),
            exchanges=Exchanges(node, Heeding(node, replica), participation, attendance, egress, self._peers, replica),
            attendance=attendance,
            statements=Statements(identity, MemberKeys(identity, replica, self._peers)),
            models=self._models,
            reading=reading,
            forecasts=Forecasts(homes, EffortForecasts(effort), FinishForecasts(finish)),
            dry_runs=DryRuns(node, homes, replica, reading, projects, effort),
        )
        self.service = LearningServicer(parts)
        self.peer_service = LearningPeerServicer(parts, identity)

    async def close(self) -> None:
        """Give up what is under way, and hang up."""
        await self._models.close()
        await self._peers.close()
