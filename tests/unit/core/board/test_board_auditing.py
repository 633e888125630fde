from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.core.board.random_logs import random_log

from weftmesh.core.board.auditing import ROWS_PER_STEP, BoardAudit, acknowledged_write, actual_state_hash
from weftmesh.core.board.machine import Board
from weftmesh.core.board.outcomes import CHANGED
from weftmesh.core.board.state import BoardState


def written(seed: int, length: int = 300) -> tuple[BoardState, set[bytes]]:
    """A board, and every write that it acknowledged as a change under a request id."""
    board, acknowledged = Board(), set()
    for number, command in enumerate(random_log(seed, length)):
        header = replace(command.header, request_id=number.to_bytes(16, "big"))
        outcome, _ = board.apply(replace(command, header=header))
        if outcome.kind in CHANGED:
            acknowledged.add(acknowledged_write(outcome.revision, header.request_id))
    return board.freeze(), acknowledged


def audited(state: BoardState, acknowledged: set[bytes]) -> BoardAudit:
    audit = BoardAudit(state, set(acknowledged))
    assert sum(1 for _ in audit.steps()) >= len(acknowledged) // ROWS_PER_STEP
    return audit


@pytest.mark.parametrize("seed", range(5))
def test_everything_that_was_acknowledged_is_found(seed: int) -> None:
    state, acknowledged = written(seed)
    audit = audited(state, acknowledged)
    assert acknowledged
    assert audit.missing == set()
    assert audit.actual_hash == state.state_hash.hex() == actual_state_hash(state)


def test_a_history_stands_for_a_request_that_is_no_longer_remembered() -> None:
    state, acknowledged = written(1)
    assert audited(replace(state, requests=()), acknowledged).missing == set()


def test_a_write_that_was_lost_is_missing_and_the_rows_do_not_add_up() -> None:
    state, acknowledged = written(2)
    lost = state.tasks[-1]
    damaged = replace(state, tasks=state.tasks[:-1], requests=())
    audit = audited(damaged, acknowledged)
    assert audit.missing == {acknowledged_write(one.revision, one.request_id) for one in lost.history}
    assert audit.actual_hash != damaged.state_hash.hex()


def test_the_same_request_at_another_revision_is_missing() -> None:
    state, _ = written(3)
    change = state.tasks[0].history[0]
    elsewhere = acknowledged_write(change.revision + 1_000, change.request_id)
    assert audited(state, {elsewhere}).missing == {elsewhere}
