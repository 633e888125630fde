"""A whole learning job seen at the wire, below TLS: no word of a task at home leaves, and the ledgers have every byte.

The classes phone, logs and assets have no sender in this release; what is compared is what there is, class learning.
"""

from __future__ import annotations

import gzip
import random
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Callable

import pytest
import pytest_asyncio
from tests.integration.canaries import sightings
from tests.integration.egress_observation import (
    CANARY,
    CONTROL,
    GOAL,
    LEARNER_REFUSED,
    LEARNING,
    NODES,
    PAYLOADS,
    Observed,
    observe,
    refusals_of,
)
from tests.integration.http2_calls import calls_of
from tests.integration.tls_relay import Wire

from weftmesh.core.learning.model import RoundKind, RoundStage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    return await observe(tmp_path_factory.mktemp("relayed"))


def test_the_job_went_all_the_way_and_read_the_tasks_at_home(observed: Observed) -> None:
    done = [one.kind for one in observed.state.rounds.values() if one.stage is RoundStage.DONE]
    assert set(done) == set(RoundKind)
    assert done.count(RoundKind.TRAINING) == GOAL - 2
    assert all(len(one.active) == NODES for one in observed.state.intents.values())
    for number, planted in enumerate(observed.at_home.values()):
        places = ("project", "title", "description", "label", "assignee", "value")
        assert planted >= {f"{CANARY}{place}{number}".encode() for place in places}, "there was nothing to leave"


def test_no_text_of_a_task_at_home_leaves_in_any_form(observed: Observed) -> None:
    found = [
        f"{wire.caller} and {wire.callee}: {line}" for wire in observed.wires for line in sightings_on(wire, CANARY)
    ]
    assert not found, "\n".join(found)


def test_a_task_of_the_mesh_is_seen_on_its_way_to_everybody(observed: Observed) -> None:
    reached = {wire.callee for wire in observed.wires if sightings_on(wire, CONTROL)}
    assert len(reached) >= NODES - 1, "without it the relays are blind, and the test above shows nothing"


def sightings_on(wire: Wire, stem: str) -> list[str]:
    """Where it shows in the bytes as they passed, and in each message, which frames may cut in two."""
    messages = [one for call in calls_of(bytes(wire.sent), bytes(wire.answered)) for one in call.sent + call.answered]
    return [line for data in (bytes(wire.sent), bytes(wire.answered), *messages) for line in sightings(data, stem)]


def test_each_ledger_has_each_payload_that_passed_and_no_other(observed: Observed) -> None:
    assert observed.passed - observed.recorded == Counter(), "it left without a record"
    assert observed.recorded - observed.passed == Counter(), "it is recorded and never left"


def test_where_questions_are_broken_off_nothing_leaves_without_a_record(observed: Observed) -> None:
    passed, recorded = observed.hurried
    assert passed.total() > observed.passed.total()
    assert passed - recorded == Counter(), "it left without a record"
    unsent = (recorded - passed).total()
    assert unsent <= (NODES - 1) * len(observed.state.rounds), "of a round, the answers that nobody waited for"


def test_every_way_in_which_learning_leaves_was_taken(observed: Observed) -> None:
    paths = Counter(call.path for _, call in observed.calls() if call.path.startswith(LEARNING))
    assert set(paths) == {LEARNING + method for method in PAYLOADS}
    assert paths[f"{LEARNING}Exchange"] >= 4 * (NODES - 1) * len(observed.state.rounds), "four questions a round"
    refusals = [reason for _, call in observed.calls() for reason, _ in refusals_of(call)]
    assert LEARNER_REFUSED in refusals


def test_reports_add_up_to_what_passed(observed: Observed) -> None:
    for node, report in observed.reports.items():
        mine = {payload: count for payload, count in observed.passed.items() if payload.sender == node}
        told = {
            (one["egress_class"], one["peer"]): (int(one["payloads"]), int(one["size_bytes"]))
            for one in report["totals"]
        }
        assert told == {
            ("learning", peer): (
                sum(count for one, count in mine.items() if one.receiver == peer),
                sum(count * one.size_bytes for one, count in mine.items() if one.receiver == peer),
            )
            for peer in {one.receiver for one in mine}
        }


def test_ledgers_verify(observed: Observed) -> None:
    for report, verified in zip(observed.reports.values(), observed.verified.values(), strict=True):
        assert verified["passed"]
        assert verified["records"] == sum(int(one["payloads"]) for one in report["totals"])


@pytest.mark.parametrize(
    "dress",
    [
        lambda text: text.encode(),
        lambda text: text.lower().encode(),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode().hex().encode(),
        lambda text: text.encode().hex().upper().encode(),
        lambda text: b64encode(text.encode()),
        lambda text: b64encode(b"1" + text.encode()),
        lambda text: b64encode(b"12" + text.encode()),
        lambda text: b64encode(b"1" + text.lower().encode("utf-16-le")),
        lambda text: zlib.compress(text.encode()),
        lambda text: zlib.compress(text.encode(), 1)[:-3],
        lambda text: gzip.compress(b64encode(b"1" + text.encode())),
        lambda text: gzip.compress(zlib.compress(text.encode())),
    ],
)
def test_a_canary_is_found_in_any_dress(dress: Callable[[str], bytes]) -> None:
    noise = random.Random(7).randbytes(4_000)
    assert not sightings(noise, CANARY)
    assert sightings(noise + dress(f"before {CANARY}title7 behind") + noise, CANARY)
