"""What the tests of the ledger share."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from weftmesh.agent.chain.checking import Verification
from weftmesh.agent.chain.files import FILE_BYTES_MAX
from weftmesh.agent.chain.reading import Piece, read_parts
from weftmesh.agent.privacy.ledger import EGRESS, EgressLedger
from weftmesh.agent.raft.log.disk import Disk, SystemDisk
from weftmesh.core.hash_chain import Head
from weftmesh.core.privacy.egress import Egress, EgressClass

DISK = SystemDisk(fsync=False)
SMALL_FILE_BYTES = 2_000


def egress(number: int = 0, peer: str = "node2") -> Egress:
    payload = f"payload {number}".encode()
    return Egress(EgressClass.LEARNING, peer, len(payload), hashlib.sha256(payload).digest(), f"test {number}")


@asynccontextmanager
async def ledger_in(
    directory: Path, disk: Disk = DISK, file_bytes_max: int = FILE_BYTES_MAX
) -> AsyncIterator[EgressLedger]:
    ledger = EgressLedger.open(directory, disk, itertools.count(1).__next__, file_bytes_max)
    try:
        yield ledger
    finally:
        await ledger.close()


async def filled(directory: Path, count: int, file_bytes_max: int = FILE_BYTES_MAX) -> list[Head]:
    """A closed ledger of so many records, each synced alone."""
    async with ledger_in(directory, file_bytes_max=file_bytes_max) as ledger:
        return [await ledger.record(egress(number)) for number in range(count)]


async def verified(ledger: EgressLedger, anchor: Head | None = None) -> Verification[Egress]:
    verification = Verification(EGRESS, await ledger.snapshot(), anchor)
    for _ in verification.run():
        pass
    return verification


async def pieces_of(ledger: EgressLedger) -> list[Piece[Egress]]:
    return list(read_parts((await ledger.snapshot()).parts, EGRESS.codec))


async def whys(ledger: EgressLedger) -> list[str]:
    """Why each payload left, and each break, in order."""
    return [piece.record.content.why for piece in await pieces_of(ledger) if piece.record is not None]


def newest(directory: Path) -> Path:
    return EGRESS.paths(directory)[-1]


def flip(path: Path, place: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.chmod(0o600)
    path.write_bytes(data)
