"""The reader of the wire's log, on packets made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.netns.connections import connections
from tests.netns.handmade import CLIENT, MS, PORT, SERVER, accepted, answer, asked, echo, ip, syn, tcp
from tests.netns.packets import Flags, Segment, parse
from tests.netns.pcap import Capture, read_capture
from tests.netns.recomputation import CONNECT, PING, REQUEST, Count, Objectives, Probed, probed

TIMEOUT_MS = 500
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
FAILED = ANSWER.replace(b"200 OK", b"503 No")


def read(directory: Path, *packets: tuple[int, bytes]) -> list[Probed]:
    """What a capture of packets, each with its millisecond, is taken for."""
    path = directory / "near.pcap"
    capture = Capture(path)
    for at_ms, packet in packets:
        capture.write(at_ms * MS, packet)
    capture.close()
    return probed({path: CLIENT}, TIMEOUT_MS, TIMEOUT_MS)


def test_a_ping_is_answered_late_or_never(tmp_path: Path) -> None:
    echoes = [(0, 1, False), (30, 1, True), (100, 2, False), (700, 2, True), (800, 3, False)]
    found = read(tmp_path, *[(at_ms, echo(reply, sequence=number)) for at_ms, number, reply in echoes])
    assert found == [
        Probed(PING, SERVER, 0, 30 * MS, answered=True, good=True, took_ns=30 * MS),
        Probed(PING, SERVER, 0, 600 * MS, answered=False, good=False, took_ns=None),
        Probed(PING, SERVER, 0, 1_300 * MS, answered=False, good=False, took_ns=None),
    ]


def test_a_number_that_is_used_again_is_another_ping(tmp_path: Path) -> None:
    found = read(tmp_path, (0, echo(False)), (900, echo(False)), (920, echo(True)))
    assert [(one.answered, one.ended_ns) for one in found] == [(False, 500 * MS), (True, 920 * MS)]


def test_a_connection_is_timed_from_its_first_syn_on(tmp_path: Path) -> None:
    found = read(tmp_path, (0, syn()), (200, syn()), (230, accepted()))
    assert found == [Probed(CONNECT, SERVER, PORT, 230 * MS, answered=True, good=True, took_ns=230 * MS)]


def test_a_port_that_is_used_again_is_another_connection(tmp_path: Path) -> None:
    found = read(tmp_path, (0, syn(7)), (20, accepted()), (400, syn(9_999)), (440, accepted()))
    assert [one.took_ns for one in found] == [20 * MS, 40 * MS]


def test_a_refused_connection_is_answered_and_no_good(tmp_path: Path) -> None:
    (found,) = read(tmp_path, (0, syn()), (25, tcp(False, 0, Flags.RST | Flags.ACK)))
    assert (found.answered, found.good, found.took_ns) == (True, False, 25 * MS)


@pytest.mark.parametrize(("text", "good"), [(ANSWER, True), (FAILED, False)])
def test_a_request_ends_with_the_last_byte_and_counts_no_time_of_the_client(
    tmp_path: Path, text: bytes, good: bool
) -> None:
    packets = [(0, syn()), (20, accepted()), (30, asked()), (60, answer(text[:9])), (75, answer(text[9:], 9))]
    (found,) = read(tmp_path, *packets)
    assert found == Probed(REQUEST, SERVER, PORT, 75 * MS, answered=True, good=good, took_ns=65 * MS)


def test_an_answer_that_comes_too_late_is_none(tmp_path: Path) -> None:
    (found,) = read(tmp_path, (0, syn()), (20, accepted()), (21, asked()), (501, answer(ANSWER)))
    assert (found.kind, found.answered, found.good, found.ended_ns) == (REQUEST, False, False, 500 * MS)


@given(st.data())
def test_pieces_in_any_order_and_twice_make_an_answer_when_the_last_one_is_there(data: st.DataObject) -> None:
    cuts = sorted({0, len(ANSWER), *data.draw(st.lists(st.integers(1, len(ANSWER) - 1)))})
    pieces = [(start, ANSWER[start:end]) for start, end in pairwise(cuts)]
    order = data.draw(st.permutations(pieces + data.draw(st.lists(st.sampled_from(pieces)))))
    complete = max(order.index(piece) for piece in pieces)
    packets = [syn(), accepted(), asked(), *(answer(piece, start) for start, piece in order)]
    (found,) = connections(segments(packets), CLIENT)
    assert (found.status, found.answered_ns) == (200, 3 + complete)


def segments(packets: Sequence[bytes]) -> list[tuple[int, Segment]]:
    return [(at_ns, one) for at_ns, packet in enumerate(packets) if isinstance(one := parse(packet), Segment)]


@given(st.binary(max_size=80))
def test_what_is_no_packet_of_a_probe_is_left_out(noise: bytes) -> None:
    parse(noise)
    assert parse(b"\x60" + noise) is None
    assert parse(ip(CLIENT, SERVER, 17, noise)) is None


def test_a_capture_that_is_still_written_ends_with_the_last_whole_packet(tmp_path: Path) -> None:
    path = tmp_path / "near.pcap"
    capture = Capture(path)
    capture.write(1_700_000_000_123_456_789, echo(False))
    capture.write(1_700_000_000_123_456_790, echo(True))
    capture.close()
    path.write_bytes(path.read_bytes()[:-1])
    assert list(read_capture(path)) == [(1_700_000_000_123_456_789, echo(False))]
    path.write_bytes(b"something else that is long enough")
    with pytest.raises(ValueError, match="no capture"):
        list(read_capture(path))


def test_counts_are_of_probes_that_ended_in_the_window() -> None:
    ping = Probed(PING, SERVER, 0, 5, answered=True, good=True, took_ns=20 * MS)
    lost = Probed(PING, SERVER, 0, 6, answered=False, good=False, took_ns=None)
    quick = Probed(REQUEST, SERVER, PORT, 7, answered=True, good=True, took_ns=40 * MS)
    error = Probed(REQUEST, SERVER, PORT, 8, answered=True, good=False, took_ns=1 * MS)
    slow = Probed(CONNECT, SERVER, PORT, 9, answered=True, good=True, took_ns=61 * MS)
    others = [
        Probed(PING, SERVER, 0, 10, answered=True, good=True, took_ns=MS),
        Probed(PING, CLIENT, 0, 5, answered=True, good=True, took_ns=MS),
        Probed(CONNECT, SERVER, PORT + 1, 5, answered=True, good=True, took_ns=MS),
    ]
    promised = Objectives(frozenset({SERVER}), PORT, {"99": 60_000}, with_loss=True)
    assert promised.counts([ping, lost, quick, error, slow, *others], 5, 10) == {
        "packet-loss": Count(1, 2),
        "uptime": Count(2, 3),
        "response-time-p99": Count(1, 2),
    }
    pings = Objectives(frozenset({SERVER}), 0, {"50": 10_000}, with_loss=False)
    assert pings.counts([ping, lost, quick], 5, 10) == {"uptime": Count(1, 2), "response-time-p50": Count(0, 1)}
