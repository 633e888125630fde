"""Puts the parts of learning together for one node; loaded with the first call that asks for more than its duty."""

from __future__ import annotations

from dataclasses import dataclass

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.learning.attendance import Attendance
from weftmesh.agent.learning.command_log import CommandLog
from weftmesh.agent.learning.cycle_times import CycleTimes
from weftmesh.agent.learning.dry_run import DryRuns
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
from weftmesh.agent.learning.peers import Dial, Peers
from weftmesh.agent.learning.proposing import Proposals
from weftmesh.agent.learning.reading import Reading
from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.learning.round_sizes import EFFORT, FINISH
from weftmesh.agent.learning.served_model import ServedModel
from weftmesh.agent.learning.statements import Statements
from weftmesh.agent.learning.training_projects import TrainingProjects
from weftmesh.core.clock import HybridClock
from weftmesh.core.forecast import finish_bytes, model_bytes
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.credentials import NodeIdentity


@dataclass(frozen=True, slots=True)
class Parts:
    """What serves learning on one node."""

    proposals: Proposals
    exchanges: Exchanges
    attendance: Attendance
    statements: Statements
    peers: Peers
    models: ModelSharing
    reading: Reading
    cycle_times: CycleTimes
    forecasts: Forecasts
    dry_runs: DryRuns

    async def close(self) -> None:
        """Give up what is under way, and hang up."""
        await self.models.close()
        await self.peers.close()


def assemble(
    config: Config,
    identity: NodeIdentity,
    homes: Homes,
    clock: HybridClock,
    ledger: Ledger,
    dial: Dial,
    replica: Replica,
) -> Parts:
    """Make the parts; see `room.LearningRoom` for the arguments."""
    node = identity.node
    egress = LearningEgress(ledger)
    peers = Peers(identity, replica, dial)
    models = ModelSharing(node, ModelStore(config.node.data_dir / "models"), peers, replica, egress)
    attendance = Attendance(
        lambda: learning_pb2.Admitted(node=node, cluster=identity.cluster, term=replica.status.term),
        LearnerSocket(config.node.run_dir / SOCKET_NAME),
    )
    participation = Participation(node, replica)
    projects = TrainingProjects(node, homes, replica)
    reading = Reading(node, replica, projects)
    effort = ServedModel(EFFORT, model_bytes.decode_model, replica, models)
    finish = ServedModel(FINISH, finish_bytes.decode_model, replica, models)
    return Parts(
        proposals=Proposals(node, replica, CommandLog(homes.mesh.engine), clock),
        exchanges=Exchanges(node, Heeding(node, replica), participation, attendance, egress, peers, replica),
        attendance=attendance,
        statements=Statements(identity, MemberKeys(identity, replica, peers)),
        peers=peers,
        models=models,
        reading=reading,
        cycle_times=CycleTimes(homes),
        forecasts=Forecasts(homes, EffortForecasts(effort), FinishForecasts(finish)),
        dry_runs=DryRuns(node, homes, replica, reading, projects, effort),
    )
