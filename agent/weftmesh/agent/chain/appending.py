"""Appends to a chain. The calls block: whoever appends makes them in a thread, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self

import structlog

from weftmesh.agent.chain.files import FILE_BYTES_MAX, ChainFiles
from weftmesh.agent.chain.reading import ContentT, Form, Part
from weftmesh.agent.chain.recovery import NOTE_NAME, Resumption, read_note, resume
from weftmesh.agent.chain.slicing import in_turns
from weftmesh.agent.raft.log.disk import Disk
from weftmesh.core.hash_chain import Break, Head, Pruned, Record, hash_of
from weftmesh.runtime.files import make_private_directory

log = structlog.get_logger("weftmesh.chain")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A chain at one moment, for a reader; files only grow, so it stays readable.

    Attributes:
        parts: its files, oldest first.
        head: the last record.
        broken: a break that was found when the node started and that the next record will name; empty if none.
    """

    parts: list[Part]
    head: Head
    broken: str


class Chain(Generic[ContentT]):
    """One chain; made by `open`.

    Attributes:
        head: the last record that is on disk.
        form: what it is.
    """

    def __init__(self, form: Form[ContentT], files: ChainFiles, resumption: Resumption) -> None:
        self.form = form
        self.head = resumption.head
        self._files = files
        self._next_sequence = resumption.next_sequence
        self._broken = resumption.broken

    @classmethod
    def open(cls, directory: Path, form: Form[ContentT], disk: Disk, file_bytes_max: int = FILE_BYTES_MAX) -> Self:
        """Go on with the chain in `directory`, or begin one.

        Args:
            directory: made if missing.
            form: of the chain.
            disk: where it is.
            file_bytes_max: a file that would grow beyond it is sealed.

        Raises:
            OSError: the directory cannot be used.
        """
        make_private_directory(directory)
        resumption = resume(directory, form, read_note(directory / NOTE_NAME))
        if resumption.broken:
            log.error(
                f"the {form.name} is damaged; it goes on behind a break that names this",
                found=resumption.broken,
                what_to_do="keep the directory as it is and verify it",
                directory=str(directory),
            )
        elif resumption.cut_bytes:
            log.warning(
                f"the {form.name} ends in what was never acknowledged; it is written over",
                file=resumption.path.name,
                size_bytes=resumption.cut_bytes,
            )
        files = ChainFiles(directory, form, disk, resumption.path, resumption.end_bytes, file_bytes_max)
        return cls(form, files, resumption)

    def sync(self) -> None:
        """Make durable what a process before this one wrote and may not have synced.

        Raises:
            OSError: the disk refused; the next `append` tries again.
        """
        self._files.sync()

    def append(self, contents: Sequence[tuple[int, ContentT | Pruned]]) -> list[Head]:
        """Chain records, and make them durable, or change nothing; where each stands.

        Args:
            contents: with their times, microseconds since 1970.

        Raises:
            OSError: the disk refused.
        """
        head, sequence = self.head, self._next_sequence
        rows: list[tuple[int, ContentT | Break | Pruned]] = list(contents)
        if self._broken:
            rows.insert(0, (contents[0][0], Break(self._broken)))
        payloads, heads = [], []
        for time_us, content in in_turns(rows):
            payload = self.form.codec.pack(Record(sequence, self.head.sequence, time_us, head.hash, content))
            head = Head(sequence, hash_of(payload))
            payloads.append(payload)
            heads.append(head)
            sequence += 1
        self._files.append(payloads, head)
        self.head, self._next_sequence, self._broken = head, sequence, ""
        return heads[-len(contents) :]

    def snapshot(self) -> Snapshot:
        """The chain as it is now."""
        return Snapshot(self._files.parts(), self.head, self._broken)

    def drop(self, part: Part) -> None:
        """Let a sealed file go; a record that says so is to be appended first.

        Raises:
            OSError: the disk refused.
        """
        self._files.drop(part.path)

    def close(self) -> None:
        """Close the files.

        Raises:
            OSError: they are closed, and what was acknowledged is noted, but perhaps not durably.
        """
        try:
            self._files.sync_note()
        finally:
            self._files.close()
