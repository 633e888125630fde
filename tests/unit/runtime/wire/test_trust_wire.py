from __future__ import annotations

import pytest
from tests.unit.core.trust.test_trust_machine import report, revoke

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.core.trust.machine import Trust
from weftmesh.mesh.v1.trust_pb2 import TrustCommand
from weftmesh.runtime.wire.trust_commands import decode_trust_command
from weftmesh.runtime.wire.trust_rows import trust_from_rows, trust_rows


def rows() -> list[bytes]:
    machine = Trust()
    for command in (report("n1"), report("n2"), revoke("n2")):
        assert machine.apply(command).ok
    return list(trust_rows(machine.freeze()))


def test_a_machine_that_nobody_asked_anything_has_no_rows() -> None:
    assert list(trust_rows(Trust().freeze())) == []
    assert trust_from_rows(()).revision == 0


@pytest.mark.parametrize(
    "damaged",
    [
        rows()[1:],
        [rows()[0], *rows()],
        rows()[:-1],
        [*rows(), b""],
        [*rows()[:-1], b"\xff\xff"],
    ],
    ids=["no header", "two headers", "a row missing", "an empty row", "no message"],
)
def test_a_damaged_snapshot_is_refused(damaged: list[bytes]) -> None:
    with pytest.raises(DataCorruptionError, match="restore the node from its peers"):
        trust_from_rows(damaged)


def test_a_command_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="upgrade this node"):
        decode_trust_command(TrustCommand(actor="ann@n1", stamp=1))
