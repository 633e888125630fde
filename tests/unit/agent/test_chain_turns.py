"""A chain is written beside the event loop: the thread that writes lets others have the interpreter."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from weftmesh.agent.chain.appending import Chain
from weftmesh.agent.chain.reading import Form
from weftmesh.agent.chain.slicing import in_turns
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.core.hash_chain import Record

RECORDS = 20_000


class Noticing:
    """A codec that notices whether another thread had its turn before the last record."""

    def __init__(self) -> None:
        self.turn = threading.Event()
        self.begun = threading.Event()
        self.noticed = False

    def pack(self, row: Record[str]) -> bytes:
        self.begun.set()
        self.noticed |= self.turn.is_set()
        return str(row.sequence).encode()

    def unpack(self, payload: bytes) -> Record[str]:
        raise ValueError(payload)


@pytest.fixture(autouse=True)
def _nobody_is_interrupted() -> Iterator[None]:
    """A thread keeps the interpreter until it lets go of it."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1_000)
    yield
    sys.setswitchinterval(before_s)


def test_others_have_their_turn_while_a_chain_is_appended_to(tmp_path: Path) -> None:
    codec = Noticing()
    chain = Chain.open(tmp_path / "chain", Form("test", ".test", codec), SystemDisk(fsync=False))
    writer = threading.Thread(target=chain.append, args=([(0, "")] * RECORDS,))
    writer.start()
    codec.begun.wait()
    codec.turn.set()
    writer.join()
    assert codec.noticed


@pytest.mark.parametrize("count", [0, 1, 16, 17, 100])
def test_taking_turns_leaves_nothing_out(count: int) -> None:
    assert list(in_turns(iter(range(count)))) == list(range(count))
