"""Whether the state directory has room, and whether its disk syncs fast enough for a leader to stay one."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from weftmesh.cli.doctor.check import in_thread
from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.mounts import more_room, mount_of
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.text import size_text

CHECK: Final = "disk"
DEADLINE_S: Final = 12.0
FREE_FAILURE_BYTES: Final = 64 << 20
"""Less than the log's next segment and a snapshot beside it."""
FREE_WARNING_BYTES: Final = 512 << 20
SYNCS: Final = 16
SYNC_BYTES: Final = 4096
SYNCS_END_S: Final = 5.0
"""No further sync is begun after this."""
SLOW_DISK_FILE: Final = "90-slow-disk.toml"
ELECTION_MAX_MS: Final = 60_000
"""As the configuration allows."""


async def check_disk(patient: Patient) -> list[Finding]:
    """Measure both; the syncs in a thread, since a dead disk answers never."""
    directory = patient.data_dir
    if not directory.is_dir():
        return [Finding(CHECK, Severity.SKIPPED, "there is no state directory yet", str(directory))]
    findings = list(_room(patient))
    took_s = await in_thread(lambda: sync_times_s(directory)) if not findings else []
    findings += _speed(patient, took_s)
    if findings:
        return findings
    mount = mount_of(directory)
    evidence = f"{size_text(_free_bytes(directory))} free on {mount.point} ({mount.kind}); {_shown(took_s)}"
    return [Finding(CHECK, Severity.OK, "room, and fast enough", evidence)]


def _room(patient: Patient) -> Iterator[Finding]:
    found = os.statvfs(patient.data_dir)
    free_bytes, total_bytes = _free_bytes(patient.data_dir), found.f_blocks * found.f_frsize
    if free_bytes >= FREE_WARNING_BYTES and (found.f_favail > 0 or found.f_files == 0):
        return
    mount = mount_of(patient.data_dir)
    evidence = f"{size_text(free_bytes)} of {size_text(total_bytes)} free on {mount.point} ({mount.kind})"
    if found.f_files and not found.f_favail:
        evidence += ", and no inode"
    severity = Severity.FAILURE if free_bytes < FREE_FAILURE_BYTES or "inode" in evidence else Severity.WARNING
    fix = more_room(mount, total_bytes, patient.remedies.has)
    yield Finding(CHECK, severity, f"little room for {patient.data_dir}", evidence, (fix,))


def _free_bytes(directory: Path) -> int:
    """What a process without privileges may still write."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def sync_times_s(directory: Path) -> list[float]:
    """How long appends of 4 KiB take until the disk has them, one after the other, as the log makes them.

    Raises:
        OSError: the disk takes no writes.
    """
    path = directory / f".doctor.{os.getpid()}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        path.unlink()  # whatever happens, nothing is left behind
        os.posix_fallocate(descriptor, 0, SYNCS * SYNC_BYTES)
        os.fsync(descriptor)
        begun_s, took_s = time.monotonic(), []
        for number in range(SYNCS):
            before_s = time.monotonic()
            os.pwrite(descriptor, os.urandom(SYNC_BYTES), number * SYNC_BYTES)
            os.fdatasync(descriptor)
            took_s.append(time.monotonic() - before_s)
            if time.monotonic() - begun_s > SYNCS_END_S:
                break
        return took_s
    finally:
        os.close(descriptor)


def _speed(patient: Patient, took_s: Sequence[float]) -> Iterator[Finding]:
    """Judge the slowest sync by the election timeout: a leader that waits for its disk for so long is deposed."""
    if not took_s:
        return
    election_s = patient.config.raft.election_timeout_ms[0] / 1e3
    slowest_s = max(took_s)
    if slowest_s <= election_s / 10:
        return
    evidence = f"{_shown(took_s)}; the election timeout is {election_s * 1e3:.0f} ms"
    severity = Severity.FAILURE if slowest_s > election_s / 2 else Severity.WARNING
    yield Finding(CHECK, severity, "the disk is slow", evidence, tuple(_bear_with(patient, slowest_s)))


def _bear_with(patient: Patient, slowest_s: float) -> Iterator[Fix]:
    low_ms = min(round(slowest_s * 20e3), ELECTION_MAX_MS)
    high_ms = min(round(slowest_s * 30e3), ELECTION_MAX_MS)
    value = [low_ms, high_ms]
    yield patient.remedies.set_in_drop_in(SLOW_DISK_FILE, "raft", "election_timeout_ms", value)
    yield from patient.remedies.restart()


def _shown(took_s: Sequence[float]) -> str:
    if not took_s:
        return "no sync measured"
    middle_ms, slowest_ms = statistics.median(took_s) * 1e3, max(took_s) * 1e3
    return f"{len(took_s)} syncs of {SYNC_BYTES // 1024} KiB: median {middle_ms:.2f} ms, slowest {slowest_ms:.2f} ms"
