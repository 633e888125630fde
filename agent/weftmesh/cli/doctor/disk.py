"""Whether the state directory has room, takes writes, and syncs fast enough for a leader to stay one."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Final

from weftmesh.cli.doctor.check import in_thread
from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.mounts import more_room
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.remedies import edit_line
from weftmesh.cli.doctor.room import Room
from weftmesh.cli.doctor.syncs import sync_times_s, told
from weftmesh.cli.doctor.unit_bounds import judge_bounds

CHECK: Final = "disk"
DEADLINE_S: Final = 12.0
BROKEN: Final = frozenset({errno.EROFS, errno.EIO, errno.ENOSPC, errno.EDQUOT})
"""What a disk says that takes no writes."""
SLOW_DISK_FILE: Final = "90-slow-disk.toml"
ELECTION_MAX_MS: Final = 60_000
"""As the configuration allows."""


async def check_disk(patient: Patient) -> list[Finding]:
    """Measure it in a thread, since a dead disk answers never."""
    return await in_thread(lambda: _measured(patient))


def _measured(patient: Patient) -> list[Finding]:
    directory = patient.data_dir
    findings = list(judge_bounds(patient.remedies, directory))
    if not directory.is_dir():
        return findings or [Finding(CHECK, Severity.SKIPPED, "there is no state directory yet", str(directory))]
    findings += _durability(patient)
    room = Room.of(directory)
    if room.severity is not Severity.OK:
        fix = more_room(room.mount, room.total_bytes, patient.remedies.has)
        return [*findings, Finding(CHECK, room.severity, f"little room for {directory}", str(room), (fix,))]
    try:
        took_s = sync_times_s(directory)
    except OSError as error:
        if error.errno not in BROKEN:
            raise
        return [*findings, _broken(room, error)]
    findings += _speed(patient, took_s)
    return findings or [Finding(CHECK, Severity.OK, "room, and fast enough", f"{room}; {told(took_s)}")]


def _durability(patient: Patient) -> Iterator[Finding]:
    """Somebody has traded the promise for speed."""
    place = patient.place("raft", "fsync")
    if not patient.config.raft.fsync:
        edited = (edit_line(*place, "false", "true"),) if place else ()
        evidence = "[raft] fsync = false" + (f", {place[0]}:{place[1]}" if place else "")
        summary = "acknowledged writes may be lost when a majority loses power"
        yield Finding(CHECK, Severity.WARNING, summary, evidence, (*edited, *patient.remedies.restart()))


def _broken(room: Room, error: OSError) -> Finding:
    """The disk takes no writes at all."""
    fixes = (Fix(f"mount -o remount,rw {quote(str(room.mount.point))}"),) if error.errno == errno.EROFS else ()
    evidence = f"{error.strerror}; {room}"
    return Finding(CHECK, Severity.FAILURE, "the disk takes no writes", evidence, fixes)


def _speed(patient: Patient, took_s: Sequence[float]) -> Iterator[Finding]:
    """Judge the slowest sync by the election timeout: a leader that waits for its disk for so long is deposed."""
    election_s = patient.config.raft.election_timeout_ms[0] / 1e3
    slowest_s = max(took_s)
    if slowest_s > election_s / 10:
        evidence = f"{told(took_s)}; the election timeout is {election_s * 1e3:.0f} ms"
        severity = Severity.FAILURE if slowest_s > election_s / 2 else Severity.WARNING
        yield Finding(CHECK, severity, "the disk is slow", evidence, tuple(_bear_with(patient, slowest_s)))


def _bear_with(patient: Patient, slowest_s: float) -> Iterator[Fix]:
    bounds_ms = [min(round(slowest_s * factor * 1e3), ELECTION_MAX_MS) for factor in (20, 30)]
    yield patient.remedies.set_in_drop_in(SLOW_DISK_FILE, "raft", "election_timeout_ms", bounds_ms)
    yield from patient.remedies.restart()
