"""Power cuts at any call of the log to the disk: what was durable is there, the rest is cut at some record."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.fakes.disk import FaultyDisk
from tests.fakes.storage import FakeLogStorage

from weftmesh.agent.raft.log.wal import MIN_SEGMENT_BYTES, WriteAheadLog
from weftmesh.agent.raft.ports import Entry, LogStorage

SEEDS_PER_CASE = 25
MEMORY_BYTES = 1500
"""Less than the log holds most of the time: what is compared has been read back from disk."""


class State(NamedTuple):
    base: tuple[int, int]
    hard: tuple[int, str]
    entries: tuple[Entry, ...]


def state_of(log: LogStorage) -> State:
    entries = tuple(log.entries_from(log.base_index + 1, 1 << 30))
    return State((log.base_index, log.base_term), (log.term, log.vote), entries)


class Driver:
    """Random operations on a log, and every state that a crash may leave it in."""

    def __init__(self, log: LogStorage, rng: random.Random) -> None:
        self.log = log
        self.rng = rng
        self.history = [state_of(log)]
        self.positions = {log.written_mark: 0}
        self.serial = 0

    def step(self) -> None:
        step = self.rng.choices(
            (self.append, self.truncate, self.compact, self.reset, self.hard_state, self.log.sync),
            weights=(40, 8, 5, 1, 8, 15),
        )[0]
        step()
        self.positions[self.log.written_mark] = len(self.history) - 1

    def append(self) -> None:
        term = self.log.term
        added = []
        for index in range(self.log.last_index + 1, self.log.last_index + 1 + self.rng.randint(1, 12)):
            self.serial += 1
            added.append(Entry(index, term, b"%d" % self.serial + self.rng.randbytes(self.rng.choice((0, 30, 700)))))
        base, hard, entries = state_of(self.log)
        self.history += [State(base, hard, (*entries, *added[:count])) for count in range(1, len(added) + 1)]
        self.log.append(added)

    def truncate(self) -> None:
        if self.log.last_index > self.log.base_index:
            index = self.rng.randint(self.log.base_index + 1, self.log.last_index)
            base, hard, entries = state_of(self.log)
            self.history.append(State(base, hard, entries[: index - base[0] - 1]))
            self.log.truncate_from(index)

    def compact(self) -> None:
        if self.log.last_index > self.log.base_index:
            index = self.rng.randint(self.log.base_index + 1, self.log.last_index)
            base, hard, entries = state_of(self.log)
            self.history.append(State((index, self.log.entry(index).term), hard, entries[index - base[0] :]))
            self.log.compact_to(index)

    def reset(self) -> None:
        index = self.log.base_index + self.rng.randint(0, 100)
        self.history.append(State((index, self.log.term), (self.log.term, self.log.vote), ()))
        self.log.reset(index, self.log.term)

    def hard_state(self) -> None:
        base, _, entries = state_of(self.log)
        hard = (self.log.term + 1, self.rng.choice(("", "n1", "n2")))
        self.history.append(State(base, hard, entries))
        self.log.set_hard_state(*hard)

    def allowed(self) -> list[State]:
        """From the last durable one on."""
        marks = [mark for mark in self.positions if mark <= self.log.durable_mark]
        return self.history[self.positions[max(marks)] :]


def open_log(directory: Path, disk: FaultyDisk | None = None) -> WriteAheadLog:
    return WriteAheadLog.open(
        directory,
        on_failure=lambda _: None,
        segment_bytes=MIN_SEGMENT_BYTES,
        memory_bytes=MEMORY_BYTES,
        disk=disk or FaultyDisk(directory),
    )


def crash(disk: FaultyDisk, log: WriteAheadLog | None, target: Path, rng: random.Random) -> None:
    disk.fail_at = 0
    if log is not None:
        with suppress(OSError):
            log.close()
    disk.power_cut(target, rng)


def run_and_crash(directory: Path, target: Path, rng: random.Random) -> Driver:
    disk = FaultyDisk(directory)
    log = open_log(directory, disk)
    driver = Driver(log, rng)
    disk.fail_at = disk.calls + rng.randint(1, 150)
    with suppress(OSError):
        for _ in range(200):
            driver.step()
    allowed = driver.allowed()
    crash(disk, log, target, rng)
    driver.history = allowed
    return driver


@pytest.mark.parametrize("case", range(12))
def test_power_cut_anywhere(tmp_path: Path, case: int) -> None:
    for seed in range(case * SEEDS_PER_CASE, (case + 1) * SEEDS_PER_CASE):
        rng = random.Random(seed)
        place = tmp_path / str(seed)
        driver = run_and_crash(place, tmp_path / f"{seed}-cut", rng)
        # a second cut, while the log recovers from the first
        disk = FaultyDisk(tmp_path / f"{seed}-cut", fail_at=rng.randint(1, 12))
        with suppress(OSError):
            crash_log = open_log(tmp_path / f"{seed}-cut", disk)
            crash(disk, crash_log, tmp_path / f"{seed}-again", rng)
        if not (tmp_path / f"{seed}-again").exists():
            crash(disk, None, tmp_path / f"{seed}-again", rng)
        log = open_log(tmp_path / f"{seed}-again")
        found = state_of(log)
        assert found in driver.history, f"seed {seed}"
        log.append([Entry(log.last_index + 1, log.term, b"next")])
        log.close()
        log = open_log(tmp_path / f"{seed}-again")
        assert state_of(log).entries == (*found.entries, log.entry(log.last_index)), f"seed {seed}"
        log.close()


@pytest.mark.parametrize("seed", range(30))
def test_killed_process_loses_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    disk = FaultyDisk(tmp_path / "wal")
    log = open_log(tmp_path / "wal", disk)
    driver = Driver(log, rng)
    for _ in range(rng.randint(1, 60)):
        driver.step()
        assert state_of(log) == driver.history[-1]
    expected = state_of(log)
    disk.fail_at = 0
    with suppress(OSError):
        log.close()
    again = open_log(tmp_path / "wal")
    assert state_of(again) == expected
    again.close()


@pytest.mark.parametrize("seed", range(60))
def test_fake_keeps_the_same_promise(seed: int) -> None:
    rng = random.Random(seed)
    log = FakeLogStorage()
    for _ in range(3):
        driver = Driver(log, rng)
        for _ in range(rng.randint(1, 60)):
            driver.step()
        allowed = driver.allowed()
        log = log.crash(keep=rng.randint(0, log.unsynced))
        assert state_of(log) in allowed
