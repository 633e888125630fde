"""Packets with the moment of each, in the file format of tcpdump and Wireshark: pcap with nanoseconds, raw IP."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

MAGIC_NS: Final = 0xA1B23C4D
LINKTYPE_RAW: Final = 101
PACKET_BYTES_MAX: Final = 65_535
_FILE: Final = struct.Struct("<IHHiIII")
_RECORD: Final = struct.Struct("<IIII")
_SECOND_NS: Final = 1_000_000_000


class Captured(NamedTuple):
    """A packet, from its IP header on, and when it passed: Unix time in nanoseconds."""

    at_ns: int
    packet: bytes


class Capture:
    """Writes one capture file."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._file.write(_FILE.pack(MAGIC_NS, 2, 4, 0, 0, PACKET_BYTES_MAX, LINKTYPE_RAW))

    def write(self, at_ns: int, packet: bytes) -> None:
        """Add a packet; it is on disk after `flush` or `close` at the latest."""
        self._file.write(_RECORD.pack(*divmod(at_ns, _SECOND_NS), len(packet), len(packet)) + packet)

    def flush(self) -> None:
        """Let readers see what was written."""
        self._file.flush()

    def close(self) -> None:
        """Write out everything."""
        self._file.close()


def read_capture(path: Path) -> Iterator[Captured]:
    """The packets of a file in their order; one that is still being written to may end within a packet.

    Raises:
        ValueError: it is no such file.
    """
    with path.open("rb") as file:
        head = file.read(_FILE.size)
        if len(head) < _FILE.size or (_FILE.unpack(head)[0], _FILE.unpack(head)[6]) != (MAGIC_NS, LINKTYPE_RAW):
            raise ValueError(f"{path} is no capture of raw IP packets with nanoseconds")
        while len(record := file.read(_RECORD.size)) == _RECORD.size:
            seconds, nanoseconds, kept_bytes, _ = _RECORD.unpack(record)
            packet = file.read(kept_bytes)
            if len(packet) < kept_bytes:
                return
            yield Captured(seconds * _SECOND_NS + nanoseconds, packet)
