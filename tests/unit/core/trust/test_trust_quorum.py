"""Who would be believed after a revocation, whether it names a node or a serial number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.board.commands import Header
from weftmesh.core.trust.commands import Readmit, ReportCertificate, Revoke
from weftmesh.core.trust.machine import Trust
from weftmesh.core.trust.quorum import Shows, believed_without, owners_of

HEADER = Header("ann@n1", 1 << 16)
LATER_MS = 2**52
KEY = "1" * 64
SHOWN = {f"n{number}": Shows(f"a{number}", KEY) for number in range(1, 4)}


def revoked(*names: str) -> Trust:
    """Nodes, or serial numbers where there are no such nodes."""
    machine = Trust()
    for name in names:
        node, serial = (name, "") if name in SHOWN else ("", name)
        assert machine.apply(Revoke(HEADER, node, serial, "stolen", LATER_MS)).ok
    return machine


@given(
    st.sets(st.sampled_from([*SHOWN, "a1", "a2", "a3", "ff"])),
    st.sampled_from([*((node, "") for node in SHOWN), *(("", one.serial) for one in SHOWN.values()), ("n1", "ff")]),
)
def test_those_are_left_that_the_log_believes_once_it_has_the_revocation(
    before: set[str], named: tuple[str, str]
) -> None:
    node, serial = named
    machine = revoked(*before)
    left = believed_without(machine.read, SHOWN, node, serial)
    machine.apply(Revoke(HEADER, node, serial, "stolen", LATER_MS))
    read = machine.read
    assert left == [name for name, one in SHOWN.items() if read.revocation_of(name, one.serial, one.key_sha256) is None]


def test_a_node_that_came_back_counts_by_the_key_that_it_was_given() -> None:
    machine = revoked("n3")
    assert believed_without(machine.read, SHOWN, "", "a1") == ["n2"]
    assert machine.apply(Readmit(HEADER, "n3", "2" * 64)).ok
    back = {**SHOWN, "n3": Shows("b3", "2" * 64)}
    assert believed_without(machine.read, back, "", "a1") == ["n2", "n3"]
    assert believed_without(machine.read, SHOWN, "", "a1") == ["n2"]


def test_a_certificate_is_everybodys_who_claims_it_so_that_a_lie_takes_it_from_nobody() -> None:
    machine = Trust()
    assert owners_of(machine.read, {**SHOWN, "a0": Shows("a2", KEY)}, "a2") == ["a0", "n2"]
    assert owners_of(machine.read, SHOWN, "ff") == []
    told = ReportCertificate(HEADER, "n2", "ff", KEY, KEY, (KEY,), 1 << 10, LATER_MS)
    assert machine.apply(told).ok
    assert owners_of(machine.read, {"n1": SHOWN["n1"]}, "ff") == ["n2"], "the silent one, by what it last told"
    assert owners_of(machine.read, SHOWN, "ff") == [], "one that was renewed since"
