"""Many writes share a log entry, and each gets its own answer however often the entry has to be tried."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.core.board.writer import ulid

from weftmesh.agent.board import command_writer
from weftmesh.agent.board.command_writer import (
    ATTEMPT_S,
    COMMANDS_PER_ENTRY_MAX,
    COMPANY_WAIT_MAX_S,
    ENTRIES_IN_FLIGHT_MAX,
    QUEUED_BYTES_MAX,
    WRITES_WORTH_AN_ENTRY,
    CommandWriter,
)
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.raft.engine import Applied
from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.commands import CreateProject, CreateTask, Header
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import NoQuorumError, OverloadedError, UnknownOutcomeError
from weftmesh.core.features.levels import FIRST_LEVEL
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.commands import encode_command

PATIENCE_S = 20.0
"""A deadline that no test means to reach."""
QUEUED_MAX = 1_000


def header() -> Header:
    return Header("ann@n1", 1, uuid.uuid4().bytes, 7)


class Bench:
    """A writer over a real board machine and an engine that does as it is told."""

    def __init__(self) -> None:
        self.machine = LogMachines("mesh", HybridClock())
        self.engine = InMemoryEngine(self.machine)
        self.writer = CommandWriter(self.engine, QUEUED_MAX)
        self._made = 0

    def submit(self, command: command_pb2.BoardCommand, timeout_s: float = PATIENCE_S) -> asyncio.Future[Outcome]:
        return self.writer.submit(command, asyncio.get_running_loop().time() + timeout_s)

    def task(self, title: str = "a task", description: str = "") -> command_pb2.BoardCommand:
        self._made += 1
        fields = {"title": title, "description": description}
        return encode_command(CreateTask(header(), "PROJ", ulid(self._made), fields))

    async def make_project(self) -> None:
        await self.submit(encode_command(CreateProject(header(), "PROJ", "Project")))
        self.engine.proposals.clear()

    async def fill(self) -> list[asyncio.Future[Outcome]]:
        """Put as many entries under way as there may be, while the gate is closed."""
        pending = []
        for _ in range(ENTRIES_IN_FLIGHT_MAX):
            pending += [self.submit(self.task()) for _ in range(WRITES_WORTH_AN_ENTRY)]
            await asyncio.sleep(0.001)
        return pending

    def entries(self) -> list[int]:
        """How many commands each proposed entry carried."""
        return [len(raft_pb2.MachineCommands.FromString(entry).commands) for entry in self.engine.proposals]


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.make_project()
    return bench


async def test_commands_of_one_loop_iteration_share_one_entry(bench: Bench) -> None:
    pending = [bench.submit(bench.task(f"task {number}")) for number in range(10)]

    outcomes = await asyncio.gather(*pending)

    assert bench.entries() == [10]
    titles = [task.title for task in bench.machine.board.list_tasks("PROJ").tasks]
    assert titles == [f"task {number}" for number in range(10)]
    assert [outcome.revision for outcome in outcomes] == list(range(2, 12))


async def test_each_caller_gets_the_answer_to_its_own_command(bench: Bench) -> None:
    nonsense = encode_command(CreateTask(header(), "NOPE", ulid(99), {"title": "nowhere"}))

    first, refused, last = await asyncio.gather(*map(bench.submit, (bench.task(), nonsense, bench.task())))

    assert (first.kind, refused.kind, last.kind) == (OutcomeKind.APPLIED, OutcomeKind.NOT_FOUND, OutcomeKind.APPLIED)
    assert (first.subject, last.subject) == (ulid(1), ulid(2))


async def test_beyond_the_entries_in_flight_commands_wait_and_share_the_next(bench: Bench) -> None:
    bench.engine.gate.clear()
    pending = await bench.fill()
    for _ in range(6):
        pending.append(bench.submit(bench.task()))
        await asyncio.sleep(0.001)
    await asyncio.sleep(2 * COMPANY_WAIT_MAX_S)

    full = [WRITES_WORTH_AN_ENTRY] * ENTRIES_IN_FLIGHT_MAX
    assert bench.entries() == full
    assert bench.writer.pending == 6

    bench.engine.gate.set()
    await asyncio.gather(*pending)
    assert bench.entries() == [*full, 6]
    assert bench.writer.pending == 0


async def test_a_lone_write_leaves_at_once_and_the_next_ones_find_company(bench: Bench) -> None:
    bench.writer = CommandWriter(bench.engine, QUEUED_MAX, company_wait_max_s=PATIENCE_S)
    bench.engine.gate.clear()
    pending = [bench.submit(bench.task())]
    await asyncio.sleep(0.001)
    assert bench.entries() == [1]

    pending.append(bench.submit(bench.task()))
    await asyncio.sleep(0.001)
    assert bench.entries() == [1]

    pending += [bench.submit(bench.task()) for _ in range(WRITES_WORTH_AN_ENTRY - 1)]
    await asyncio.sleep(0.001)
    assert bench.entries() == [1, WRITES_WORTH_AN_ENTRY]

    bench.engine.gate.set()
    await asyncio.gather(*pending)


async def test_a_write_does_not_wait_long_for_company(bench: Bench) -> None:
    bench.engine.gate.clear()
    pending = [bench.submit(bench.task())]
    await asyncio.sleep(0.001)
    pending.append(bench.submit(bench.task()))
    await asyncio.sleep(20 * COMPANY_WAIT_MAX_S)
    assert bench.entries() == [1, 1]

    bench.engine.gate.set()
    await asyncio.gather(*pending)


async def test_a_write_that_waited_for_company_leaves_when_nothing_is_under_way(bench: Bench) -> None:
    bench.writer = CommandWriter(bench.engine, QUEUED_MAX, company_wait_max_s=10 * PATIENCE_S)
    bench.engine.gate.clear()
    pending = [bench.submit(bench.task())]
    await asyncio.sleep(0.001)
    pending.append(bench.submit(bench.task()))
    bench.engine.gate.set()
    await asyncio.gather(*pending)
    assert bench.entries() == [1, 1]


async def test_an_entry_is_bounded_in_commands_and_in_bytes(bench: Bench) -> None:
    await asyncio.gather(*(bench.submit(bench.task()) for _ in range(COMMANDS_PER_ENTRY_MAX + 1)))
    assert bench.entries() == [COMMANDS_PER_ENTRY_MAX, 1]

    bench.engine.proposals.clear()
    await asyncio.gather(*(bench.submit(bench.task(description="x" * 60_000)) for _ in range(20)))
    assert sum(bench.entries()) == 20
    assert max(map(len, bench.engine.proposals)) <= command_writer.ENTRY_BYTES_MAX + 1_000


async def test_an_unknown_outcome_is_tried_again_with_the_same_bytes(bench: Bench) -> None:
    bench.engine.fail_before.extend([UnknownOutcomeError("lost"), NoQuorumError("no leader"), None])

    outcome = await bench.submit(bench.task())

    assert outcome.kind is OutcomeKind.APPLIED
    assert len(bench.engine.proposals) == 3
    assert len(set(bench.engine.proposals)) == 1


async def test_a_retry_of_what_was_applied_unanswered_brings_the_first_outcomes(bench: Bench) -> None:
    bench.engine.fail_after.append(UnknownOutcomeError("the leader died after it committed"))

    first, second = await asyncio.gather(bench.submit(bench.task()), bench.submit(bench.task()))

    assert len(bench.engine.proposals) == 2
    assert [first.revision, second.revision] == [2, 3]
    assert bench.machine.board.revision == 3
    assert bench.machine.board.task_count == 2


async def test_without_a_quorum_until_the_deadline_nothing_was_changed(bench: Bench) -> None:
    bench.engine.fail_before.extend([NoQuorumError("cut off")] * 100)

    with pytest.raises(NoQuorumError):
        await asyncio.wait_for(bench.submit(bench.task(), timeout_s=0.3), PATIENCE_S)

    assert len(bench.engine.proposals) > 1
    assert bench.machine.board.task_count == 0


async def test_a_write_that_may_have_entered_a_log_ends_as_unknown_even_if_later_tries_did_not(bench: Bench) -> None:
    bench.engine.fail_after.append(UnknownOutcomeError("lost"))
    bench.engine.fail_before.extend([None, *[NoQuorumError("cut off")] * 100])

    with pytest.raises(UnknownOutcomeError, match="same request id"):
        await asyncio.wait_for(bench.submit(bench.task(), timeout_s=0.3), PATIENCE_S)

    assert bench.machine.board.task_count == 1


async def test_a_caller_in_a_hurry_gives_up_without_the_others(bench: Bench) -> None:
    bench.engine.fail_before.extend([NoQuorumError("electing")] * 8)
    hurried, patient = bench.submit(bench.task(), timeout_s=0.15), bench.submit(bench.task())

    with pytest.raises(NoQuorumError):
        await asyncio.wait_for(hurried, PATIENCE_S)

    assert not patient.done()
    assert (await asyncio.wait_for(patient, PATIENCE_S)).kind is OutcomeKind.APPLIED
    assert bench.machine.board.task_count == 1


async def test_a_command_whose_deadline_has_passed_is_not_proposed(bench: Bench) -> None:
    with pytest.raises(NoQuorumError):
        await asyncio.wait_for(bench.submit(bench.task(), timeout_s=-1), PATIENCE_S)

    assert bench.engine.proposals == []


class CutOffEngine(InMemoryEngine):
    """An engine that finds no leader to hand anything to."""

    async def propose(self, command: bytes, timeout_s: float, *, level: int = FIRST_LEVEL) -> Applied:
        self.proposals.append(command)
        await asyncio.sleep(timeout_s)
        raise NoQuorumError("no leader")


async def test_a_write_that_found_no_leader_until_its_deadline_changed_nothing() -> None:
    engine = CutOffEngine(LogMachines("mesh", HybridClock()))
    writer = CommandWriter(engine, QUEUED_MAX)
    now = asyncio.get_running_loop().time()
    command = encode_command(CreateProject(header(), "PROJ", "Project"))

    pending = [writer.submit(command, now + 0.3), writer.submit(command, now + 0.8)]
    outcomes = await asyncio.gather(*pending, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [NoQuorumError, NoQuorumError]
    assert len(engine.proposals) >= 2


async def test_any_other_refusal_reaches_every_caller_at_once(bench: Bench) -> None:
    bench.engine.fail_before.append(OverloadedError("too many proposals"))

    outcomes = await asyncio.gather(bench.submit(bench.task()), bench.submit(bench.task()), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [OverloadedError, OverloadedError]
    assert len(bench.engine.proposals) == 1
    assert (await bench.submit(bench.task())).ok


async def test_a_refusal_does_not_hide_that_an_earlier_try_may_have_entered_a_log(bench: Bench) -> None:
    bench.engine.fail_after.append(UnknownOutcomeError("lost"))
    bench.engine.fail_before.extend([None, OverloadedError("too many proposals")])

    with pytest.raises(UnknownOutcomeError):
        await bench.submit(bench.task())

    assert bench.machine.board.task_count == 1


async def test_a_queue_of_large_writes_refuses_sooner(bench: Bench) -> None:
    task = bench.task(description="x" * 1024 * 1024)
    accepted = [bench.submit(task) for _ in range(QUEUED_BYTES_MAX // task.ByteSize())]

    with pytest.raises(OverloadedError, match="MiB"):
        bench.submit(task)

    await asyncio.gather(*accepted)
    assert (await bench.submit(bench.task())).ok


async def test_a_full_queue_refuses_at_once(bench: Bench) -> None:
    accepted = [bench.submit(bench.task()) for _ in range(QUEUED_MAX)]

    with pytest.raises(OverloadedError, match="try again"):
        bench.submit(bench.task())

    assert all(outcome.ok for outcome in await asyncio.gather(*accepted))
    assert (await bench.submit(bench.task())).ok


async def test_a_caller_that_leaves_breaks_nobody_else(bench: Bench) -> None:
    bench.engine.gate.clear()
    under_way = [bench.submit(bench.task()) for _ in range(3)]
    await asyncio.sleep(0.01)
    under_way[1].cancel()
    never_proposed = bench.submit(bench.task("never proposed"))
    never_proposed.cancel()
    after = bench.submit(bench.task())
    bench.engine.gate.set()

    assert (await under_way[0]).ok
    assert (await under_way[2]).ok
    assert (await after).ok
    titles = [task.title for task in bench.machine.board.list_tasks("PROJ").tasks]
    assert len(titles) == 4
    assert "never proposed" not in titles


async def test_a_deadline_holds_while_an_attempt_for_others_goes_on(bench: Bench) -> None:
    bench.engine.gate.clear()
    patient, hurried = bench.submit(bench.task()), bench.submit(bench.task(), timeout_s=0.1)

    with pytest.raises(UnknownOutcomeError):
        await asyncio.wait_for(hurried, ATTEMPT_S / 2)

    bench.engine.gate.set()
    assert (await patient).ok


async def test_a_deadline_holds_while_a_command_waits_for_its_entry(bench: Bench) -> None:
    bench.engine.gate.clear()
    patient = await bench.fill()
    hurried = bench.submit(bench.task("never proposed"), timeout_s=0.1)

    with pytest.raises(NoQuorumError):
        await asyncio.wait_for(hurried, ATTEMPT_S / 2)

    bench.engine.gate.set()
    assert all(outcome.ok for outcome in await asyncio.gather(*patient))
    assert len(bench.engine.proposals) == ENTRIES_IN_FLIGHT_MAX


async def test_nobody_waits_for_ever_when_what_carries_a_write_fails() -> None:
    class BrokenEngine(InMemoryEngine):
        async def propose(self, command: bytes, timeout_s: float, *, level: int = FIRST_LEVEL) -> Applied:
            raise RuntimeError("a defect")

    bench = Bench()
    bench.writer = CommandWriter(BrokenEngine(bench.machine), QUEUED_MAX)
    with pytest.raises(UnknownOutcomeError):
        await asyncio.wait_for(bench.submit(bench.task()), PATIENCE_S / 2)
