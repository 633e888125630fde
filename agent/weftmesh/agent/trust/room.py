"""Trust on one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weftmesh.agent.enrolment.admission import Admission, members_of
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.agent.trust.gate import Gate
from weftmesh.agent.trust.keeper import TrustKeeper
from weftmesh.agent.trust.revoking import Revoking
from weftmesh.agent.trust.roll_call import RollCall
from weftmesh.agent.trust.rotating import Rotating
from weftmesh.agent.trust.service import TrustServicer
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.mesh.v1 import trust_pb2, trust_pb2_grpc
from weftmesh.runtime.doors.cutting import RevocationInterceptor
from weftmesh.runtime.identity.store import IdentityStore


class TrustRoom:
    """Implements `rooms.Room`.

    Args:
        ground: see Ground.
        store: of this node's identity.
        admission: who may come in and stay.
        log_: where trust is written.
        gate: says who is revoked.
        interceptor: stands before the mesh port.
        cut_stream: ends what is sent to a peer.
    """

    def __init__(
        self,
        ground: Ground,
        store: IdentityStore,
        admission: Admission,
        log_: TrustLog,
        gate: Gate,
        interceptor: RevocationInterceptor,
        cut_stream: Callable[[str], None],
    ) -> None:
        identity, mesh = ground.identity, ground.homes.mesh
        from_files = ground.config.tls.from_files
        self._keeper = TrustKeeper(
            identity,
            store,
            log_,
            admission,
            gate,
            interceptor,
            cut_stream,
            lambda: members_of(mesh.engine.status()),
            from_files=from_files,
        )
        mesh.machine.on_trust(self._keeper.note)
        mesh.machine.on_restored(self._keeper.note)
        roll = RollCall(identity, ground.dial)
        revoking = Revoking(identity, mesh.engine, log_, roll, admission, from_files=from_files)
        rotating = Rotating(mesh.engine, log_, admission, from_files=from_files)
        self._servicer = TrustServicer(
            identity,
            ground.callers,
            log_,
            admission,
            revoking,
            rotating,
            mesh.engine,
            roll,
            from_files=from_files,
        )

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        return [service(trust_pb2.DESCRIPTOR, "TrustService", trust_pb2_grpc, self._servicer, Door.BOTH)]

    def work(self) -> Sequence[Work]:
        """See Room."""
        return (self._keeper.run(),)

    async def close(self) -> None:
        """See Room: nothing is left."""
