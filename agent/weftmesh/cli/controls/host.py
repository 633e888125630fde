"""Controls of the machine: the daemon's rights, its socket, its files, and where secrets come from."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weftmesh.cli.controls.evidence import Evidence, State, Subject, unknown

CONNECT_TIMEOUT_S: Final = 2.0
SECCOMP_FILTER: Final = "2"
_CAPABILITIES: Final = ("CapEff", "CapPrm", "CapAmb")
"""In force; what the process may put into force; what programs that it runs get."""
_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


async def least_privilege(subject: Subject) -> Evidence:
    """The daemon runs without capabilities, without a way to gain rights, and under a filter of system calls."""
    pid = await asyncio.to_thread(_daemon, subject.socket)
    source, command = f"/proc/{pid}/status", f"grep -E 'Uid|Cap(Prm|Eff|Amb)|NoNewPrivs|Seccomp:' /proc/{pid}/status"
    found = await asyncio.to_thread(_status, pid)
    if not {"Uid", *_CAPABILITIES, "NoNewPrivs", "Seccomp"} <= found.keys():
        return unknown("the process hides what it may do from this user", source, command)
    uid = int(found["Uid"].split()[1])
    problems = [
        *(["it runs as root"] if uid == 0 else []),
        *(f"it has capabilities: {name} {found[name]}" for name in _CAPABILITIES if int(found[name], 16)),
        *(["it can gain rights by programs that it runs"] if found["NoNewPrivs"] != "1" else []),
        *(["no filter of system calls"] if found["Seccomp"] != SECCOMP_FILTER else []),
    ]
    if problems:
        return Evidence(State.FAILS, "; ".join(problems), source, command)
    value = f"user {_user(uid)}, no capability, NoNewPrivs, system calls filtered"
    return Evidence(State.HOLDS, value, source, command)


async def socket_permissions(subject: Subject) -> Evidence:
    """Only the socket's owner and group may open it."""
    path = subject.socket
    found = await asyncio.to_thread(path.stat)
    command, mode = f"stat -c '%A %U %G' {path}", stat.S_IMODE(found.st_mode)
    value = f"mode {mode:04o}, owner {_user(found.st_uid)}, group {_group(found.st_gid)}"
    if mode & stat.S_IRWXO:
        return Evidence(State.FAILS, f"{value}: everybody on this machine may use it", str(path), command)
    return Evidence(State.HOLDS, value, str(path), command)


async def private_files(subject: Subject) -> Evidence:
    """Nobody but the daemon's user may read keys and logs."""
    if subject.config is None:
        return unknown(f"{subject.config_file} cannot be read", "the configuration")
    directory = subject.config.node.data_dir
    command = f"find {directory} -perm /077 -not -type l"
    source = str(directory)
    try:
        mode = stat.S_IMODE((await asyncio.to_thread(directory.stat)).st_mode)
        found = await asyncio.to_thread(_open_files, directory)
    except PermissionError:
        return unknown("only root and the node's user can look", source, command)
    if mode & 0o077 and found:
        shown = ", ".join(map(str, found[:3]))
        return Evidence(State.FAILS, f"others can get at {len(found)} files: {shown}", source, command)
    inside = "none" if not found else f"{len(found)}, whom the directory's own mode keeps out"
    return Evidence(State.HOLDS, f"mode {mode:04o}; files in it that are open to others: {inside}", source, command)


async def credentials(subject: Subject) -> Evidence:
    """Secrets reach the daemon as credentials of its service manager, where it needs any."""
    pid = await asyncio.to_thread(_daemon, subject.socket)
    command = "systemctl show --property=LoadCredential,LoadCredentialEncrypted weftmesh-agent"
    try:
        environment = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes)
    except OSError as error:
        return unknown(f"{error.strerror}: only root and the node's user can look", f"/proc/{pid}/environ", command)
    names = dict(one.split(b"=", 1) for one in environment.split(b"\0") if b"=" in one)
    suspicious = sorted(
        name.decode(errors="replace")
        for name in names
        if any(word in name.upper() for word in (b"PASSWORD", b"SECRET", b"PRIVATE_KEY", b"API_KEY"))
    )
    if suspicious:
        value = f"secrets in the environment: {', '.join(suspicious)}"
        return Evidence(State.FAILS, value, f"/proc/{pid}/environ", command)
    directory = names.get(b"CREDENTIALS_DIRECTORY")
    if directory is None:
        return Evidence(State.NOT_IN_USE, "the daemon was given no credentials", f"/proc/{pid}/environ", command)
    path = Path(os.fsdecode(directory))
    count = len(await asyncio.to_thread(lambda: list(path.iterdir())))
    if not count:
        return Evidence(State.NOT_IN_USE, f"{path} is empty", f"/proc/{pid}/environ", command)
    return Evidence(State.HOLDS, f"{count} credentials in {path}", f"/proc/{pid}/environ", command)


def _daemon(path: Path) -> int:
    """The process that listens on the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        probe.connect(str(path))
        return int(_CREDENTIALS.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0])


def _status(pid: int) -> Mapping[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def _open_files(directory: Path) -> list[Path]:
    """Files and directories in it that group or others have rights on."""
    found = []
    for folder, directories, files in os.walk(directory, onerror=_raise):
        for name in (*directories, *files):
            path = Path(folder, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue  # it is a running node's
            if not stat.S_ISLNK(mode) and mode & 0o077:
                found.append(path)
    return found


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
