"""The checks of the machine: SELinux, Bluetooth, mounts, ports, remedies; with files as the kernel shows them."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from tests.unit.cli.doctor.patients import patient, sh

from weftmesh.cli.doctor.bluetooth import check_bluetooth
from weftmesh.cli.doctor.disk import check_disk
from weftmesh.cli.doctor.findings import Finding, Severity
from weftmesh.cli.doctor.mounts import Mount, more_room, mount_of
from weftmesh.cli.doctor.port_holder import holder_of
from weftmesh.cli.doctor.remedies import Remedies, edit_line
from weftmesh.cli.doctor.room import FAILURE_BYTES, WARNING_BYTES, Room
from weftmesh.cli.doctor.selinux import check_selinux
from weftmesh.cli.doctor.syncs import SYNCS, sync_times_s
from weftmesh.cli.session import DEFAULT_CONFIG
from weftmesh.runtime.config import load_config

GIB = 1 << 30


def commands(found: Finding) -> list[str]:
    return [fix.command for fix in found.fixes]


@pytest.mark.parametrize(
    ("mode", "severity", "fixes"), [("1", Severity.OK, []), ("0", Severity.WARNING, ["setenforce 1"])]
)
def test_selinux_is_in_the_mode_that_selinuxfs_says(
    tmp_path: Path, mode: str, severity: Severity, fixes: list[str]
) -> None:
    (tmp_path / "enforce").write_text(mode)
    (found,) = check_selinux(tmp_path)
    assert (found.severity, commands(found)) == (severity, fixes)


def test_a_kernel_without_selinux_is_no_finding(tmp_path: Path) -> None:
    (found,) = check_selinux(tmp_path)
    assert found.severity is Severity.SKIPPED


def adapter(classes: Path, *, soft: str) -> None:
    (classes / "bluetooth/hci0").mkdir(parents=True)
    switch = classes / "rfkill/rfkill0"
    switch.mkdir(parents=True)
    for name, text in (("type", "bluetooth"), ("soft", soft), ("hard", "0")):
        (switch / name).write_text(f"{text}\n")


def test_nobody_looks_for_bluetooth_unasked(tmp_path: Path) -> None:
    (found,) = check_bluetooth(tmp_path, wanted=False)
    assert (found.severity, found.summary) == (Severity.SKIPPED, "not asked for")


def test_an_adapter_is_found(tmp_path: Path) -> None:
    adapter(tmp_path, soft="0")
    (found,) = check_bluetooth(tmp_path, wanted=True)
    assert (found.severity, found.evidence) == (Severity.OK, "hci0")


def test_a_blocked_adapter_is_unblocked(tmp_path: Path) -> None:
    adapter(tmp_path, soft="1")
    (found,) = check_bluetooth(tmp_path, wanted=True)
    assert commands(found) == ["rfkill unblock bluetooth"]


def test_without_an_adapter_there_is_a_failure(tmp_path: Path) -> None:
    (found,) = check_bluetooth(tmp_path, wanted=True)
    assert found.severity is Severity.FAILURE


def test_a_path_is_on_the_innermost_mount() -> None:
    assert mount_of(Path("/proc/self/status")).point == Path("/proc")
    assert mount_of(Path("/")).point == Path("/")


@pytest.mark.parametrize(
    ("mount", "programs", "command"),
    [
        (Mount(Path("/s p"), "tmpfs", "none"), (), "mount -o remount,size=2048M '/s p'"),
        (
            Mount(Path("/v"), "xfs", "/dev/mapper/a-b"),
            ("lvextend",),
            "lvextend --resizefs --size +1024M /dev/mapper/a-b",
        ),
        (
            Mount(Path("/v"), "xfs", "/dev/sda1"),
            (),
            "du --one-file-system --max-depth=3 --human-readable /v | sort --human-numeric-sort | tail",
        ),
    ],
)
def test_more_room_is_made_as_the_file_system_allows(mount: Mount, programs: tuple[str, ...], command: str) -> None:
    assert more_room(mount, GIB, lambda name: name in programs).command == command


def test_syncs_are_measured_and_leave_nothing_behind(tmp_path: Path) -> None:
    took_s = sync_times_s(tmp_path)
    assert 1 <= len(took_s) <= SYNCS
    assert all(one_s > 0 for one_s in took_s)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("free_bytes", "has_inodes", "severity"),
    [
        (WARNING_BYTES, True, Severity.OK),
        (WARNING_BYTES - 1, True, Severity.WARNING),
        (FAILURE_BYTES - 1, True, Severity.FAILURE),
        (GIB, False, Severity.FAILURE),
    ],
)
def test_room_is_judged_by_bytes_and_inodes(free_bytes: int, has_inodes: bool, severity: Severity) -> None:
    room = Room(Mount(Path("/v"), "xfs", "/dev/sda1"), 2 * GIB, free_bytes, has_inodes)
    assert room.severity is severity
    assert ("no inode" in str(room)) is not has_inodes


async def test_a_disk_without_fsync_is_a_warning_and_put_right(tmp_path: Path) -> None:
    made = patient(tmp_path, settings={("raft", "fsync"): False}, has_unit=False)
    made.data_dir.mkdir()
    found = (await check_disk(made))[0]
    assert (found.severity, found.evidence) == (Severity.WARNING, f"[raft] fsync = false, {tmp_path}/weftmesh.toml:9")
    sh(*commands(found))
    assert load_config(tmp_path / "weftmesh.toml", environment={}).raft.fsync


async def test_before_there_is_state_there_is_no_disk_to_judge(tmp_path: Path) -> None:
    (found,) = await check_disk(patient(tmp_path))
    assert found.severity is Severity.SKIPPED


def test_who_listens_on_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        holder = holder_of(listener.getsockname()[1])
    assert holder is not None
    assert holder.pid == os.getpid()
    assert holder.command.split()[0] == sys.orig_argv[0]
    assert not holder.is_agent


def test_nobody_is_found_where_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert holder_of(bound.getsockname()[1]) is None


@pytest.mark.parametrize(("old", "new"), [("a.c", "x/y"), ("[a]", "[b]"), ("a*", "&"), ("^a$", "\\1"), ("it's", "its")])
def test_a_line_is_edited_as_it_is_written(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "a file.toml"
    file.write_text(f"abc {old}\nabc {old} {old}\n")
    sh(edit_line(file, 2, old, new).command)
    assert file.read_text() == f"abc {old}\nabc {new} {old}\n"


def test_the_agent_is_started_as_this_machine_does_it() -> None:
    own = Path("/tmp/it's/weftmesh.toml")
    with_unit, by_hand = Remedies(own, has_unit=True), Remedies(own, has_unit=False)
    assert with_unit.start().command == "systemctl start weftmesh-agent.service"
    assert by_hand.start().command == """weftmeshd --config '/tmp/it'"'"'s/weftmesh.toml'"""
    assert by_hand.start("n2").command == "weftmeshd"
    assert Remedies(DEFAULT_CONFIG, has_unit=False).start().command == "weftmeshd"
    assert [fix.command.split()[0] for fix in by_hand.replace_hung(7)] == ["kill", "weftmeshd"]
    assert [fix.command for fix in with_unit.replace_hung(7)] == ["systemctl restart weftmesh-agent.service"]


def test_systemd_is_not_asked_to_start_a_node_with_another_configuration(tmp_path: Path) -> None:
    assert not Remedies.of_this_machine(tmp_path / "weftmesh.toml").has_unit


def test_a_key_is_set_in_a_file_of_its_own(tmp_path: Path) -> None:
    made = Remedies(tmp_path / "weftmesh.toml", has_unit=False)
    fix = made.set_in_drop_in("90-slow-disk.toml", "raft", "election_timeout_ms", [4000, 6000])
    sh(fix.command)
    assert (tmp_path / "conf.d/90-slow-disk.toml").read_text() == "[raft]\nelection_timeout_ms = [4000, 6000]\n"
