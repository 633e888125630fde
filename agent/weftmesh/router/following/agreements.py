"""The agreements and controls that this node's agent last spoke of, put together from its messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import Agreement, ServiceClass
from weftmesh.core.ola.replicated.rows import Override, SlowWeights
from weftmesh.core.records import record
from weftmesh.ola.v1 import ola_pb2
from weftmesh.routing.v1 import kept_pb2
from weftmesh.runtime.wire.learning_records import read

Order = Override | SlowWeights
_log = structlog.get_logger("weftmesh.router")


@record(frozen=True, slots=True)
class Followed:
    """An agreement in force.

    Attributes:
        agreement: what it says.
        generation: which one of it.
        service_class: in force now, agreed or raised.
    """

    agreement: Agreement
    generation: int
    service_class: ServiceClass


class Agreements:
    """What is in force, by the messages of `OlaService.WatchAgreements`.

    Attributes:
        revision: of the agent's state that was heard of last; 0 before the first word.
    """

    def __init__(self) -> None:
        self.revision = 0
        self._kept: dict[str, bytes] = {}
        self._read: dict[str, Followed] = {}
        self._controls = ola_pb2.RouteControls()

    def take(self, change: ola_pb2.AgreementsChange) -> None:
        """Take a message in. An agreement that cannot be read is left as it was known before, and logged."""
        for _ in self.take_in_steps(change):
            pass

    def take_in_steps(self, change: ola_pb2.AgreementsChange) -> Iterator[None]:
        """As `take`, an agreement with each step; it counts after the last one."""
        found: dict[str, tuple[bytes, Followed]] = {}
        for message in change.agreements:
            if (followed := _followed(message)) is not None:
                piece = kept_pb2.KeptState(agreements=[message])
                found[followed.agreement.name] = piece.SerializeToString(), followed
            yield
        self.revision = change.revision
        if change.everything:
            self._kept, self._read = {}, {}
            self._controls = ola_pb2.RouteControls()
        for name, (kept, followed) in found.items():
            self._kept[name], self._read[name] = kept, followed
        if change.HasField("in_force"):
            names = set(change.in_force.names)
            for name in self._kept.keys() - names:
                self._kept.pop(name)
                self._read.pop(name)
        if change.HasField("controls"):
            self._controls = ola_pb2.RouteControls()
            self._controls.CopyFrom(change.controls)

    def restore(
        self, revision: int, agreements: Iterable[ola_pb2.AgreementInForce], controls: ola_pb2.RouteControls
    ) -> None:
        """Begin with what was kept; see `kept`."""
        self.take(
            ola_pb2.AgreementsChange(revision=revision, everything=True, agreements=agreements, controls=controls)
        )

    def kept(self) -> list[bytes]:
        """What is to be kept, as KeptStates of which each is a part of the whole; see LastTable."""
        return [kept_pb2.KeptState(controls=self._controls).SerializeToString(), *self._kept.values()]

    @property
    def in_force(self) -> tuple[Followed, ...]:
        """Every agreement in force, by name."""
        return tuple(self._read[name] for name in sorted(self._read))

    @property
    def overrides(self) -> tuple[Order, ...]:
        """What operators ordered, the oldest first; an order of a kind that is not known here is left out."""
        found: list[Order] = []
        for message in self._controls.overrides:
            try:
                found.append(read(Override, message))
            except InvalidInputError as error:
                _log.warning("an order cannot be followed", route=message.route, why=str(error))
        found += [read(SlowWeights, one) for one in self._controls.weights]
        return tuple(sorted(found, key=lambda one: one.stamp))


def _followed(message: ola_pb2.AgreementInForce) -> Followed | None:
    try:
        agreement = read(Agreement, message.agreement)
        return Followed(agreement, message.generation, ServiceClass(message.service_class))
    except (InvalidInputError, ValueError) as error:
        _log.warning("an agreement cannot be read", agreement=message.agreement.name[:63], why=str(error))
        return None
