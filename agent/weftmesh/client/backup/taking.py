"""Making a backup file: streamed from a node, encrypted on the way, and verified before it gets its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from weftmesh.client.backup.opening import open_backup
from weftmesh.client.backup.sealing import Identity, Recipient, sealed
from weftmesh.client.client import Client
from weftmesh.core.errors import AlreadyExistsError, NotFoundError
from weftmesh.mesh.v1 import backup_pb2
from weftmesh.runtime.files import replacing
from weftmesh.runtime.wire.backup_parts import MAGIC, PartsChecker, packed

BACKUP_TIMEOUT_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class TakenBackup:
    """A backup file that is complete and durable."""

    path: Path
    opening: backup_pb2.BackupOpening
    size_bytes: int
    verified: bool
    """Whether it was restored for a try."""


async def take_backup(
    client: Client,
    path: Path,
    recipients: Sequence[Recipient],
    *,
    include_local: bool = False,
    verify_with: Identity | None = None,
    timeout_s: float = BACKUP_TIMEOUT_S,
) -> TakenBackup:
    """Back up the node's boards to `path`, which appears when everything is in it and durable.

    Args:
        client: of the node, on its local socket.
        path: must not exist.
        recipients: of `parse_recipients`; whoever holds the identity of one can read the file.
        include_local: the projects that live on that node alone, too.
        verify_with: an identity; the file is decrypted and restored for a try before it gets its name.
        timeout_s: for the transfer.

    Raises:
        AlreadyExistsError: there is such a file.
        DataCorruptionError: what came is not what the node sent, or does not restore.
        WeftmeshError: the node cannot be reached, or no majority answers.
    """
    _check_free(path)
    request = backup_pb2.TakeBackupRequest(include_local=include_local)
    with replacing(path) as out:
        with sealed(out, recipients) as plain:
            opening = await _write_parts(client.backup.take(request, timeout_s=timeout_s), plain)
        out.flush()
        if verify_with is not None:
            with open_backup(Path(out.name), verify_with):
                pass
        size_bytes = out.tell()
    return TakenBackup(path, opening, size_bytes, verify_with is not None)


def _check_free(path: Path) -> None:
    if path.exists():
        raise AlreadyExistsError(f"{path} exists and is not overwritten; name another file or remove this one")
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no directory {path.parent} to put the backup into; make it first")


async def _write_parts(parts: AsyncIterator[backup_pb2.BackupPart], plain: BinaryIO) -> backup_pb2.BackupOpening:
    checker = PartsChecker()
    plain.write(MAGIC)
    async for part in parts:
        checker.take(part)
        await asyncio.to_thread(plain.write, packed(part))
    return checker.finish()
