"""Decisions go over the wire and come back as they were."""

from dataclasses import replace

from weftmesh.core.routing.events import Decided, Event, Observe, SetMode, SetOverride, SetRoute
from weftmesh.core.routing.model import (
    Condition,
    Decision,
    Endpoint,
    Inputs,
    Mode,
    Override,
    OverrideKind,
    Reading,
    Reason,
    Row,
    Settings,
    Share,
)
from weftmesh.core.routing.table import RoutingTable
from weftmesh.routing.v1 import decision_pb2
from weftmesh.runtime.wire.decisions import decision_message, decision_of


def test_decisions_come_back_as_they_were() -> None:
    table = RoutingTable()
    events: tuple[Event, ...] = (
        SetRoute("pay", (Endpoint("a", "127.0.0.1:1", 4.0, "z"), Endpoint("b", "127.0.0.1:2"))),
        SetMode("pay", Mode.ACT),
        Observe("pay", (Reading("a", 0.02, 0.001, 0.3, 2.0, 9.0), Reading("b", 0.03, 0.001, alive=False))),
        SetOverride("pay", Override(OverrideKind.DRAIN, "b", "ann@node1", "patching")),
    )
    decided = [
        effect.decision
        for at, event in enumerate(events)
        for effect in table.apply(event, 1_000.0 + at)[1]
        if isinstance(effect, Decided)
    ]
    assert len(decided) >= 2
    for one in decided:
        data = decision_message(one).SerializeToString()
        assert decision_of(decision_pb2.Decision.FromString(data)) == one
    assert decision_of(decision_message(replace(decided[0], before=()))).before == ()


def test_no_field_of_a_row_a_reading_or_an_endpoint_is_left_out() -> None:
    row = Row("e", 0.5, 0.6, 0.7, Condition.EJECTED, Reason.DEAD, "gone", 1.0, 2.0, 3, -1, 4.0, 3.5)
    reading = Reading("e", 0.1, 0.2, 0.3, 4.0, 5.0, False)
    weighing = Override(OverrideKind.WEIGH, "", "ann", "canary", (Share("e", 0.95), Share("f", 0.05)))
    inputs = Inputs(
        "r",
        9.0,
        Mode.SUGGEST,
        Settings(threshold_s=1.0),
        (Endpoint("e", "h:1", 2.0, "z"),),
        (Override(OverrideKind.PIN, "e", "ann", "why"), weighing),
        (reading,),
    )
    decision = Decision(4, inputs, (row,), (row, row))
    assert decision_of(decision_message(decision)) == decision


def test_an_order_from_before_there_were_shares_is_read_without() -> None:
    drain = Override(OverrideKind.DRAIN, "b", "ann", "why")
    inputs = Inputs("r", 9.0, Mode.ACT, Settings(), (Endpoint("b", "h:1"),), (drain,), ())
    message = decision_message(Decision(1, inputs, (), ()))
    # The fields that an order had then: kind, endpoint, actor, why.
    old = bytes.fromhex("0a05647261696e120162" + "1a03616e6e" + "2203776879")
    message.inputs.overrides[0].CopyFrom(decision_pb2.Override.FromString(old))
    assert decision_of(message).inputs.overrides == (drain,)
