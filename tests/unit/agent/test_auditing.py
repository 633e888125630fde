"""Three replicas in one process: the audit passes while they agree, and names what is wrong with whom."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.core.board.writer import ulid

from weftmesh.agent.audit.acknowledged import AcknowledgedJournal
from weftmesh.agent.audit.auditing import NIGHT_BEGINS_HOUR, NIGHT_LASTS_S, Auditor, Voter, seconds_until_audit
from weftmesh.agent.audit.history_check import CHECKS_MAX, HistoryCheck
from weftmesh.agent.board.homes import Home
from weftmesh.agent.board.machines import RECENT_STATES, LogMachines
from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, Header, UpdateTask
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.state import BoardState
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import NodeUnreachableError, OverloadedError
from weftmesh.mesh.v1 import audit_pb2
from weftmesh.runtime.wire.commands import encode_command
from weftmesh.runtime.wire.snapshot_rows import rows_of

NAMES = ("n1", "n2", "n3")


class OneOfThree(InMemoryEngine):
    """Knows of two more voters."""

    def status(self) -> RaftStatus:
        return replace(super().status(), voters={name: f"{name}:7450" for name in NAMES})


class Replica:
    """One voter."""

    def __init__(self, name: str, directory: Path) -> None:
        self.machine = LogMachines("mesh", HybridClock())
        self.engine = OneOfThree(self.machine, name)
        self.home = Home("mesh", self.machine, self.engine, 1_000)
        self.journal = AcknowledgedJournal.open(directory / name)
        self.home.writer.on_acknowledged = self.journal.note
        self.check = HistoryCheck(self.home, self.journal)

    def damage(self, change: Callable[[BoardState], BoardState]) -> None:
        self.machine.prepare_restore(rows_of(change(self.machine.board.freeze())))()


class Unreachable:
    """A voter that is away."""

    async def acknowledged(self, limit: int) -> list[bytes]:
        raise NodeUnreachableError("no node answers at n3")

    async def check(self, applied_index: int, writes: set[bytes]) -> audit_pb2.CheckHistoryResponse:
        raise NodeUnreachableError("no node answers at n3")


class Mesh:
    """Three replicas of one log."""

    def __init__(self, directory: Path) -> None:
        self.replicas = {name: Replica(name, directory) for name in NAMES}
        self.voters: dict[str, Voter] = {name: one.check for name, one in self.replicas.items()}
        self._random = random.Random(1)

    async def start(self) -> None:
        self.auditor = Auditor(self.replicas["n1"].engine, lambda name, address: self.voters[name])
        await self.write("n1", CreateProject(self.header(), "PROJ", "P"))
        for number in range(9):
            await self.write(NAMES[number % 3], self.task(number))

    def header(self) -> Header:
        return Header("ann@n1", 1, self._random.randbytes(16), 7)

    def task(self, number: int) -> CreateTask:
        return CreateTask(self.header(), "PROJ", ulid(number), {"title": f"Task {number}"})

    async def write(self, name: str, command: Command) -> OutcomeKind:
        """Write on one node; all apply it."""
        replica = self.replicas[name]
        outcome = await replica.home.writer.submit(encode_command(command), asyncio.get_running_loop().time() + 20)
        entry = replica.engine.proposals[-1]
        for other, one in self.replicas.items():
            if other != name:
                await one.engine.propose(entry, 20)
        return outcome.kind

    async def audit(self) -> dict[str, audit_pb2.VoterAudit]:
        report = await self.auditor.run()
        assert report is self.auditor.last
        bad = [one for one in report.voters if one.failure or one.missing or one.state_differs or one.state_damaged]
        assert report.passed is not bool(bad)
        return {voter.node: voter for voter in report.voters}


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    mesh = Mesh(tmp_path)
    await mesh.start()
    yield mesh
    for replica in mesh.replicas.values():
        await replica.journal.close()


async def test_an_audit_passes_while_every_voter_has_everything(mesh: Mesh) -> None:
    await mesh.audit()
    report = mesh.auditor.last
    assert report is not None
    assert report.passed
    assert (report.writes, report.first_revision, report.last_revision) == (10, 1, 10)
    assert {voter.state_hash for voter in report.voters} == {mesh.replicas["n1"].home.board.state_hash}


async def test_what_changed_nothing_is_not_looked_for(mesh: Mesh) -> None:
    same = UpdateTask(mesh.header(), ulid(1), {"title": "Task 1"}, {}, 0)
    assert await mesh.write("n2", same) is OutcomeKind.UNCHANGED
    assert await mesh.write("n2", CreateTask(mesh.header(), "NONE", ulid(77), {"title": "x"})) is OutcomeKind.NOT_FOUND
    await mesh.audit()
    assert mesh.auditor.last is not None
    assert (mesh.auditor.last.passed, mesh.auditor.last.writes) == (True, 10)


async def test_a_voter_without_a_task_lacks_the_writes_of_it(mesh: Mesh) -> None:
    lost = mesh.replicas["n3"].home.board.freeze().tasks[-1]
    mesh.replicas["n3"].damage(lambda state: replace(state, tasks=state.tasks[:-1], requests=()))
    voters = await mesh.audit()
    assert (voters["n3"].missing, voters["n3"].state_damaged) == (1, True)
    assert list(voters["n3"].missing_writes) == [f"{lost.history[0].request_id.hex()} at {lost.revision}"]
    assert [voters[name].missing for name in ("n1", "n2")] == [0, 0]


async def test_a_voter_that_missed_a_command_differs_and_lacks_it(mesh: Mesh) -> None:
    first = mesh.replicas["n1"]
    await first.home.writer.submit(encode_command(mesh.task(50)), asyncio.get_running_loop().time() + 20)
    for name, entry in (("n2", first.engine.proposals[-1]), ("n3", b"")):
        await mesh.replicas[name].engine.propose(entry, 20)
    voters = await mesh.audit()
    assert (voters["n3"].missing, voters["n3"].state_differs, voters["n3"].state_damaged) == (1, True, False)
    assert [voters[name].state_differs for name in ("n1", "n2")] == [False, False]


async def test_where_two_differ_nobody_is_taken_for_right(mesh: Mesh) -> None:
    mesh.voters["n3"] = Unreachable()
    await mesh.replicas["n1"].home.writer.submit(encode_command(mesh.task(60)), asyncio.get_running_loop().time() + 20)
    await mesh.replicas["n2"].engine.propose(b"", 20)
    voters = await mesh.audit()
    assert [voters[name].state_differs for name in ("n1", "n2")] == [True, True]


async def test_a_voter_that_does_not_answer_fails_the_audit_and_not_the_others(mesh: Mesh) -> None:
    mesh.voters["n3"] = Unreachable()
    voters = await mesh.audit()
    assert "no node answers" in voters["n3"].failure
    assert voters["n2"].state_hash
    assert not voters["n2"].failure


async def test_a_voter_is_waited_for_until_it_has_caught_up(mesh: Mesh) -> None:
    first, third = mesh.replicas["n1"], mesh.replicas["n3"]
    await first.home.writer.submit(encode_command(mesh.task(70)), asyncio.get_running_loop().time() + 20)
    entry = first.engine.proposals[-1]
    await mesh.replicas["n2"].engine.propose(entry, 20)
    audit = asyncio.create_task(mesh.audit())
    await asyncio.sleep(0.1)
    assert not audit.done()
    await third.engine.propose(entry, 20)
    assert not (await audit)["n3"].missing


async def test_one_audit_at_a_time(mesh: Mesh) -> None:
    running: list[Coroutine[Any, Any, Any]] = [mesh.auditor.run(), mesh.auditor.run()]
    results = await asyncio.gather(*running, return_exceptions=True)
    assert isinstance(results[1], OverloadedError)
    assert (await mesh.auditor.run()).passed


async def test_audits_of_several_nodes_wait_for_one_another(mesh: Mesh) -> None:
    check = mesh.replicas["n1"].check
    later = 1_000  # an entry that none of them has seen yet
    asking = [asyncio.create_task(check.check(later, set())) for _ in range(CHECKS_MAX + 1)]
    await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    while mesh.replicas["n1"].engine.status().applied_index < later:
        await mesh.replicas["n1"].engine.propose(b"", 20)
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in results] == [audit_pb2.CheckHistoryResponse] * CHECKS_MAX + [OverloadedError]
    assert (await check.check(0, set())).actual_hash == mesh.replicas["n1"].home.board.state_hash


async def test_the_loop_is_left_to_others_while_a_large_board_is_looked_over(mesh: Mesh) -> None:
    state = mesh.replicas["n1"].home.board.freeze()
    many = tuple(replace(state.tasks[0], id=ulid(number)) for number in range(5_000))
    mesh.replicas["n1"].damage(lambda state: replace(state, tasks=many))
    turns = 0
    looking = asyncio.create_task(mesh.replicas["n1"].check.check(0, set()))
    while not looking.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10
    assert looking.result().revision == state.revision


def test_a_state_is_known_for_a_while_and_never_guessed() -> None:
    machine = LogMachines("mesh", HybridClock())
    empty = machine.board.state_hash
    assert machine.state_hash_at(5, restored_index=3) == empty
    assert machine.state_hash_at(2, restored_index=3) == ""
    machine.apply(10, b"", 0)
    assert machine.state_hash_at(9, restored_index=3) == ""
    assert machine.state_hash_at(10, restored_index=3) == empty
    for index in range(11, 11 + RECENT_STATES):
        machine.apply(index, b"", 0)
    assert machine.state_hash_at(10, restored_index=3) == ""


@pytest.mark.parametrize("hour", [0, NIGHT_BEGINS_HOUR, 2, 12, 23])
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_the_next_audit_is_at_night_and_not_the_night_after(hour: int, chance: float) -> None:
    now = datetime(2026, 3, 28, hour, 30, tzinfo=UTC)
    wait_s = seconds_until_audit(now, chance)
    at_hour = (hour + 0.5 + wait_s / 3600) % 24
    assert 0 < wait_s <= 24 * 3600 + NIGHT_LASTS_S
    assert NIGHT_BEGINS_HOUR <= at_hour <= NIGHT_BEGINS_HOUR + NIGHT_LASTS_S / 3600
