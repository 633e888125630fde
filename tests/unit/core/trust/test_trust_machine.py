"""Whatever is asked of the machine of trust in whatever order: its invariants hold, and nothing revoked is believed."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.board.commands import Header
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.trust.commands import (
    AbandonRotation,
    BeginRotation,
    Command,
    FinishRotation,
    Readmit,
    ReportCertificate,
    Revoke,
    SwitchIssuer,
)
from weftmesh.core.trust.machine import Trust
from weftmesh.core.trust.outcomes import Reason
from weftmesh.core.trust.rows import DAY_MS, AuthorityState, Limits, Phase
from weftmesh.runtime.wire.trust_commands import decode_trust_command, encode_trust_command
from weftmesh.runtime.wire.trust_rows import trust_from_rows, trust_rows

NODES = ("n1", "n2", "n3")
OLD, NEW, OTHER = (bytes([number]) * 80 for number in (1, 2, 3))
NOW_MS = 1_800_000_000_000


def pin(authority: bytes) -> str:
    return sha256(authority).hexdigest()


def key(number: int) -> str:
    return f"{number:064x}"


def header(request_id: bytes = b"", at_ms: int = NOW_MS) -> Header:
    return Header("ann@n1", at_ms << 16 | 1, request_id, 7)


def report(node: str, authority: bytes = OLD, *trusted: bytes, serial: str = "a1", at_ms: int = NOW_MS) -> Command:
    pins = tuple(sorted(map(pin, trusted or (authority,))))
    return ReportCertificate(
        header(at_ms=at_ms), node, serial, key(1), pin(authority), pins, NOW_MS, NOW_MS + 7 * DAY_MS
    )


def revoke(node: str, serial: str = "", *, until_ms: int = NOW_MS + 8 * DAY_MS, at_ms: int = NOW_MS) -> Command:
    return Revoke(header(at_ms=at_ms), node, serial, "stolen", until_ms)


nodes = st.sampled_from(NODES)
authorities = st.sampled_from((OLD, NEW, OTHER))
pins = authorities.map(pin)
keys = st.integers(1, 4).map(key)
serials = st.sampled_from(("a1", "b2", "c3"))
moments = st.integers(0, 10).map(lambda days: NOW_MS + days * DAY_MS)
headers = st.builds(header, st.sampled_from((b"", b"r" * 16, b"s" * 16)), moments)
node_sets = st.lists(nodes, unique=True).map(tuple)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        ReportCertificate,
        headers,
        nodes,
        serials,
        keys,
        pins,
        st.lists(pins, min_size=1, unique=True).map(tuple),
        st.just(NOW_MS),
        moments,
    ),
    st.builds(
        Revoke,
        headers,
        nodes | st.just(""),
        serials | st.just(""),
        st.sampled_from(("stolen", "")),
        moments,
        st.just(()) | st.just(NODES),
    ),
    st.builds(Readmit, headers, nodes, keys),
    st.builds(BeginRotation, headers, authorities, authorities),
    st.builds(SwitchIssuer, headers, pins, node_sets),
    st.builds(FinishRotation, headers, pins, node_sets, node_sets),
    st.builds(AbandonRotation, headers, pins),
)


@given(st.lists(commands, max_size=40))
def test_invariants_hold_and_a_preview_tells_what_comes(asked: list[Command]) -> None:
    machine = Trust()
    for command in asked:
        told = machine.preview(command)
        revision = machine.revision
        outcome = machine.apply(command)
        assert outcome == told
        assert machine.revision == revision + (outcome.kind is OutcomeKind.APPLIED and outcome.revision > revision)
        machine.check()
        assert machine.story("n1")


@given(st.lists(commands, max_size=30), st.lists(commands, max_size=10))
def test_a_snapshot_goes_on_as_the_machine_itself_does(before: list[Command], after: list[Command]) -> None:
    machine = Trust()
    for command in before:
        machine.apply(command)
    copy = trust_from_rows(trust_rows(machine.freeze()))
    assert copy.freeze() == machine.freeze()
    for command in after:
        assert copy.apply(decode_trust_command(encode_trust_command(command))) == machine.apply(command)
    assert copy.state_hash == machine.state_hash


@given(st.lists(commands, max_size=40))
def test_a_revoked_node_is_believed_only_with_a_key_that_it_was_given_since(asked: list[Command]) -> None:
    machine = Trust()
    allowed: dict[str, set[str]] = {}
    for command in asked:
        revision = machine.revision
        machine.apply(command)
        if machine.revision == revision:
            continue
        if isinstance(command, Revoke) and not command.serial:
            allowed[command.node] = set()
        if isinstance(command, Readmit) and command.node in allowed:
            allowed[command.node].add(command.key_sha256)
        for node in list(allowed):
            if machine.read.node_revocation(node) is None:
                del allowed[node]  # it has expired, and so has every certificate that it was about
        for node, its in allowed.items():
            for number in range(1, 5):
                refused = machine.read.revocation_of(node, "ff", key(number)) is not None
                assert refused is (key(number) not in its)


def test_a_revocation_is_kept_until_what_it_is_about_has_expired() -> None:
    machine = Trust()
    machine.apply(revoke("n3", until_ms=NOW_MS + 8 * DAY_MS))
    machine.apply(revoke("n2", "b2", until_ms=NOW_MS + DAY_MS))
    assert machine.next_deadline() == NOW_MS + DAY_MS
    for node in ("n1", "n2"):
        machine.apply(report(node, at_ms=NOW_MS + 2 * DAY_MS))
    assert [one.node for one in machine.read.revocations()] == ["n3"]
    for node in ("n1", "n2"):
        machine.apply(report(node, serial="a2", at_ms=NOW_MS + 9 * DAY_MS))
    assert not machine.read.any_revoked


def test_one_clock_that_is_ahead_ends_no_revocation() -> None:
    machine = Trust()
    machine.apply(report("n1"))
    machine.apply(report("n2"))
    machine.apply(revoke("n3"))
    for number in range(3):
        machine.apply(report("n1", serial=f"a{number}", at_ms=NOW_MS + 10_000 * DAY_MS))
    assert machine.read.is_shut_out("n3")


def test_of_two_revocations_at_the_same_moment_one_is_refused_if_both_would_cost_the_majority() -> None:
    machine = Trust()
    for node, kind in (("n1", OutcomeKind.APPLIED), ("n2", OutcomeKind.PRECONDITION)):
        asked = Revoke(header(), node, "", "stolen", NOW_MS + DAY_MS, voters=NODES)
        assert machine.apply(decode_trust_command(encode_trust_command(asked))).kind is kind
    machine.apply(Readmit(header(), "n1", key(2)))
    assert machine.apply(Revoke(header(), "n2", "", "stolen", NOW_MS + DAY_MS, voters=NODES)).ok


def test_a_revoked_node_is_not_believed_again_with_the_key_that_it_had() -> None:
    machine = Trust()
    machine.apply(report("n3"))
    machine.apply(revoke("n3"))
    assert machine.apply(Readmit(header(), "n3", key(1))).kind is OutcomeKind.INVALID
    assert machine.apply(Readmit(header(), "n3", key(2))).ok


def test_a_serial_is_revoked_for_every_key_and_leaves_the_node_its_other_certificates() -> None:
    machine = Trust()
    assert machine.apply(revoke("n3", "b2")).ok
    assert machine.read.revocation_of("n3", "b2", key(1))
    assert machine.read.revocation_of("n3", "c3", key(1)) is None
    assert machine.apply(revoke("n3", "b2")).kind is OutcomeKind.UNCHANGED


@pytest.mark.parametrize(
    "command",
    [
        revoke(""),
        revoke("no node"),
        revoke("n1", "0a"),
        revoke("n1", "A1"),
        revoke("n1", until_ms=NOW_MS),
        Revoke(header(), "n1", "", "two\nlines", NOW_MS + DAY_MS),
        Readmit(header(), "n1", "short"),
        BeginRotation(header(), OLD, OLD),
        BeginRotation(header(), b"", NEW),
        ReportCertificate(header(), "n1", "a1", key(1), pin(OLD), (), NOW_MS, NOW_MS),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(command: Command) -> None:
    machine = Trust()
    outcome = machine.apply(command)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.INVALID, Reason.INVALID_VALUE)
    assert machine.revision == 0


def test_revocations_have_a_limit_that_says_what_to_do() -> None:
    machine = Trust()
    for number in range(1, Limits.REVOCATIONS + 1):
        assert machine.apply(revoke("", f"{number:x}")).ok
    outcome = machine.apply(revoke("n1"))
    assert outcome.reason is Reason.LIMIT_REACHED
    assert "rotate-ca" in outcome.message


def test_a_rotation_waits_for_every_member_in_each_phase_and_each_step_may_be_asked_again() -> None:
    machine = Trust()
    begin = BeginRotation(header(), OLD, NEW)
    switch, finish = SwitchIssuer(header(), pin(NEW), NODES), FinishRotation(header(), pin(NEW), NODES)
    assert machine.apply(switch).reason is Reason.NO_ROTATION
    assert machine.apply(begin).kind is OutcomeKind.APPLIED
    assert machine.apply(begin).kind is OutcomeKind.UNCHANGED
    assert machine.apply(BeginRotation(header(), OLD, OTHER)).reason is Reason.ROTATION_UNDER_WAY
    for node in NODES[:2]:
        machine.apply(report(node, OLD, OLD, NEW))
    late = machine.apply(switch)
    assert late.reason is Reason.MEMBER_NOT_READY
    assert late.message.startswith("n3 ")
    machine.apply(report("n3", OLD, OLD, NEW))
    assert machine.apply(switch).kind is OutcomeKind.APPLIED
    assert machine.apply(switch).kind is OutcomeKind.UNCHANGED
    assert machine.read.phase is Phase.ISSUED
    assert machine.apply(AbandonRotation(header(), pin(NEW))).reason is Reason.NO_ROTATION
    for node in NODES[:2]:
        machine.apply(report(node, NEW, OLD, NEW))
    assert machine.apply(finish).reason is Reason.MEMBER_NOT_READY
    machine.apply(report("n3", NEW, OLD, NEW))
    assert machine.apply(finish).kind is OutcomeKind.APPLIED
    assert machine.apply(finish).kind is OutcomeKind.UNCHANGED
    assert [(one.sha256, one.state) for one in machine.read.authorities()] == [(pin(NEW), AuthorityState.ISSUING)]
    assert machine.apply(begin).reason is Reason.OTHER_AUTHORITY
    machine.check()


def test_a_member_that_is_named_is_cut_off_and_a_rotation_that_has_begun_can_be_given_up() -> None:
    machine = Trust()
    machine.apply(BeginRotation(header(), OLD, OTHER))
    assert machine.apply(AbandonRotation(header(), pin(OTHER))).kind is OutcomeKind.APPLIED
    assert machine.apply(AbandonRotation(header(), pin(OTHER))).kind is OutcomeKind.UNCHANGED
    machine.apply(BeginRotation(header(), OLD, NEW))
    for node in NODES:
        machine.apply(report(node, OLD, OLD, NEW))
    machine.apply(SwitchIssuer(header(), pin(NEW), NODES))
    for node in NODES[:2]:
        machine.apply(report(node, NEW, OLD, NEW))
    assert machine.apply(FinishRotation(header(), pin(NEW), NODES, ("n2",))).reason is Reason.MEMBER_NOT_READY
    assert machine.apply(FinishRotation(header(), pin(NEW), NODES, ("n3",))).kind is OutcomeKind.APPLIED


def test_a_request_that_is_sent_again_gets_its_first_answer() -> None:
    machine = Trust()
    once = Revoke(header(b"r" * 16), "n3", "", "stolen", NOW_MS + DAY_MS)
    first = machine.apply(once)
    machine.apply(Readmit(header(), "n3", key(2)))
    assert machine.apply(once) == first
    assert machine.read.revocation_of("n3", "a1", key(2)) is None
    reused = Revoke(Header("ann@n1", 1, b"r" * 16, 8), "n2", "", "stolen", NOW_MS + DAY_MS)
    assert machine.apply(reused).kind is OutcomeKind.REQUEST_REUSED
