"""What is in force, put together from messages."""

from __future__ import annotations

from tests.unit.router.agreed_routes import agreement

from weftmesh.core.ola.model import Agreement, ServiceClass
from weftmesh.ola.v1 import agreement_pb2, command_pb2, ola_pb2, row_pb2
from weftmesh.router.following.agreements import Agreements
from weftmesh.routing.v1 import kept_pb2
from weftmesh.runtime.wire.ola_agreements import agreement_message


def in_force(one: Agreement, generation: int = 1) -> ola_pb2.AgreementInForce:
    return ola_pb2.AgreementInForce(
        agreement=agreement_message(one),
        generation=generation,
        service_class=agreement_pb2.SERVICE_CLASS_CRITICAL,
    )


def names(known: Agreements) -> list[str]:
    return [one.agreement.name for one in known.in_force]


def change(*agreements: ola_pb2.AgreementInForce, revision: int = 1) -> ola_pb2.AgreementsChange:
    return ola_pb2.AgreementsChange(revision=revision, agreements=agreements)


def test_agreements_come_change_and_go() -> None:
    known = Agreements()
    known.take(change(in_force(agreement("b")), in_force(agreement("a"))))
    assert names(known) == ["a", "b"]
    assert known.in_force[0].service_class is ServiceClass.CRITICAL
    known.take(change(in_force(agreement("a", endpoints=1), generation=2), revision=2))
    assert [len(one.agreement.endpoints) for one in known.in_force] == [1, 3]
    gone = ola_pb2.AgreementsChange(revision=3, in_force=ola_pb2.NamesInForce(names=["b"]))
    known.take(gone)
    assert (names(known), known.revision) == (["b"], 3)


def test_everything_takes_the_place_of_what_was_known() -> None:
    known = Agreements()
    known.take(change(in_force(agreement("a"))))
    known.take(ola_pb2.AgreementsChange(revision=1, everything=True, agreements=[in_force(agreement("b"))]))
    assert names(known) == ["b"]
    known.take(ola_pb2.AgreementsChange(revision=1, everything=True))
    assert (names(known), known.overrides) == ([], ())


def test_controls_are_all_there_are_and_stay_until_others_come() -> None:
    known = Agreements()
    freeze = row_pb2.Override(
        route="pay",
        kind=command_pb2.OVERRIDE_KIND_FREEZE,
        mode=agreement_pb2.ROUTE_MODE_OBSERVE,
        why="incident",
        actor="ann@node1",
        stamp=5,
    )
    older = row_pb2.Override()
    older.CopyFrom(freeze)
    older.route, older.stamp = "ledger", 2
    weights = row_pb2.SlowWeights(route="fx", generation=1, why="canary", actor="ann@node1", stamp=3)
    weights.weights.add(endpoint="fx-1", share_ppb=1_000_000_000)
    controls = ola_pb2.RouteControls(overrides=[freeze, older], weights=[weights])
    known.take(ola_pb2.AgreementsChange(revision=1, controls=controls))
    known.take(change(in_force(agreement()), revision=2))
    assert [one.route for one in known.overrides] == ["ledger", "fx", "pay"], "the oldest first"
    known.take(ola_pb2.AgreementsChange(revision=3, controls=ola_pb2.RouteControls()))
    assert known.overrides == ()


def test_what_a_newer_node_says_is_left_out_and_the_rest_holds() -> None:
    known = Agreements()
    known.take(change(in_force(agreement("a"))))
    strange = in_force(agreement("a", endpoints=1), generation=2)
    strange.agreement.probes[0].kind = 9  # type: ignore[assignment]
    known.take(change(strange, in_force(agreement("b")), revision=2))
    assert names(known) == ["a", "b"]
    assert known.in_force[0].generation == 1, "as it was known before"
    unknown = row_pb2.Override(route="pay", kind=9)  # type: ignore[arg-type]
    known.take(ola_pb2.AgreementsChange(revision=3, controls=ola_pb2.RouteControls(overrides=[unknown])))
    assert known.overrides == ()


def test_what_is_kept_restores_the_same() -> None:
    known, again = Agreements(), Agreements()
    known.take(change(in_force(agreement("a")), in_force(agreement("b")), revision=7))
    kept = kept_pb2.KeptState.FromString(b"".join(known.kept()))
    again.restore(known.revision, kept.agreements, kept.controls)
    assert again.in_force == known.in_force
    assert again.revision == 7
