"""Controls of what is recorded: roles, both chains, what voters hold, backups, and the size of what is taken."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc

from weftmesh.access.v1 import access_pb2
from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.cli.controls.evidence import Evidence, State, Subject, unknown
from weftmesh.core.errors import ForbiddenError, WeftmeshError
from weftmesh.core.hash_chain import Head
from weftmesh.runtime.rpc import from_rpc_error

CALL_TIMEOUT_S: Final = 5.0
VERIFY_TIMEOUT_S: Final = 600.0
BACKUP_AGE_MAX: Final = timedelta(hours=26)
"""A night and two hours."""
CLOCK_SKEW_MAX: Final = timedelta(minutes=5)
TOO_LARGE: Final = "MESSAGE_TOO_LARGE"
AGE_HEADER: Final = b"age-encryption.org/v1\n"
BACKUP_ENVIRONMENT: Final = Path("/etc/weftmesh/backup.env")
BACKUP_DIRECTORY: Final = Path("/var/lib/weftmesh-backup")


async def roles(subject: Subject) -> Evidence:
    """Callers follow roles, and somebody administers the mesh."""
    listed = await subject.client.access.list_bindings()
    command, source = "weftmesh access ls", "the replicated roles, as this node has them"
    if not listed.bindings and (listed.mesh_governed or listed.revision):
        caller = await subject.client.access.who_am_i()
        if listed.mesh_governed or not caller.break_glass:
            return unknown("roles were given, and none of them is shown to this user", source, command)
    if not listed.bindings:
        return Evidence(State.NOT_IN_USE, "no role: whoever may open the socket may do everything", source, command)
    admins = [one.subject for one in listed.bindings if not one.project and one.role == access_pb2.ROLE_ADMIN]
    if not listed.mesh_governed:
        projects = len({one.project for one in listed.bindings})
        value = f"{projects} projects follow roles, the mesh itself and other projects do not"
        return Evidence(State.FAILS, value, source, command)
    who = ", ".join(admins) or "nobody that you may see"
    value = f"{len(listed.bindings)} bindings; the mesh is administered by {who}"
    return Evidence(State.HOLDS, value, source, command)


async def audit_chain(subject: Subject) -> Evidence:
    """Every record of the audit log is there as it was written."""
    command, source = "weftmesh audit verify", "every record read again"
    try:
        found = await subject.client.audit_log.verify(timeout_s=VERIFY_TIMEOUT_S)
    except ForbiddenError as error:
        return unknown(str(error), source, command)
    value = f"{found.records} records, anchor {Head(found.head.sequence, found.head.hash)}"
    if not found.passed:
        return Evidence(State.FAILS, f"{found.findings_count} findings; {found.findings[0].found}", source, command)
    if found.lost:
        return Evidence(State.FAILS, f"{value}; {found.lost} records could not be written", source, command)
    if not found.records:
        return Evidence(State.NOT_IN_USE, "nothing was recorded yet", source, command)
    return Evidence(State.HOLDS, value, source, command)


async def egress_ledger(subject: Subject) -> Evidence:
    """Every record of what left this node is there as it was written."""
    command, source = "weftmesh privacy verify", "every record read again"
    try:
        found = await subject.client.privacy.verify(timeout_s=VERIFY_TIMEOUT_S)
    except ForbiddenError as error:
        return unknown(str(error), source, command)
    if not found.passed:
        return Evidence(State.FAILS, f"{found.findings_count} findings; {found.findings[0].found}", source, command)
    if not found.records:
        return Evidence(State.NOT_IN_USE, "nothing left this node, by its ledger", source, command)
    value = f"{found.records} records, anchor {Head(found.head.sequence, found.head.hash)}"
    return Evidence(State.HOLDS, value, source, command)


async def equal_voters(subject: Subject) -> Evidence:
    """Every voter has every acknowledged write, and the same state."""
    command, source = "weftmesh verify", "an audit that was just made of every voter"
    try:
        report = await subject.client.audit.run_audit(timeout_s=VERIFY_TIMEOUT_S)
    except WeftmeshError as error:
        return unknown(str(error), source, command)
    bad = [one.node for one in report.voters if one.state_differs or one.state_damaged or one.missing]
    silent = [one.node for one in report.voters if one.failure]
    if bad:
        return Evidence(State.FAILS, f"not as the others: {', '.join(bad)}", source, command)
    if silent or not report.passed:
        return unknown(f"no answer from {', '.join(silent) or 'a majority'}", source, command)
    hashes = {one.state_hash for one in report.voters}
    value = f"{len(report.voters)} voters, state {', '.join(sorted(hashes))} after entry {report.applied_index}"
    return Evidence(State.HOLDS, value, source, command)


async def size_limits(subject: Subject) -> Evidence:
    """A request that is larger than the limit is refused before anybody looks into it."""
    if subject.config is None:
        return unknown(f"{subject.config_file} cannot be read", "the configuration")
    limits = subject.config.limits
    request = board_pb2.GetProjectRequest(name="x" * (limits.max_message_bytes + 1024))
    source, command = f"a request of {request.ByteSize()} bytes", "weftmesh config show"
    rates = f"{limits.writes_per_s} writes a second and caller, {limits.watchers} watchers"
    # A channel of its own: the client library would not send it.
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"unix:{subject.socket}", options=options) as channel:
        stub: Any = board_pb2_grpc.BoardServiceStub(channel)
        try:
            await stub.GetProject(request, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            code, reason = error.code(), from_rpc_error(error).reason
        else:
            code, reason = grpc.StatusCode.OK, ""
    if reason == TOO_LARGE:
        return Evidence(State.HOLDS, f"refused; also set: {rates}", source, command)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return unknown(f"it was refused for another reason ({reason.lower()})", source, command)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return unknown(f"no answer ({code.name.lower()})", source, command)
    value = f"it was read ({code.name.lower()}), although the limit is {limits.max_message_bytes} bytes"
    return Evidence(State.FAILS, value, source, command)


async def backups(subject: Subject) -> Evidence:  # noqa: ARG001, they are files of this machine
    """The newest backup is encrypted, and of last night."""
    return await asyncio.to_thread(_backups)


def _backups() -> Evidence:
    command = f"ls -lt {BACKUP_DIRECTORY}"
    if not BACKUP_ENVIRONMENT.exists():
        value = "nightly backups are not set up"
        return Evidence(State.NOT_IN_USE, value, str(BACKUP_ENVIRONMENT), "systemctl status weftmesh-backup.timer")
    try:
        found = sorted(BACKUP_DIRECTORY.glob("board-*.age"), key=lambda path: path.stat().st_mtime)
        if not found:
            os.listdir(BACKUP_DIRECTORY)
            return Evidence(State.FAILS, "they are set up, and there is none", str(BACKUP_DIRECTORY), command)
        newest = found[-1]
        with newest.open("rb") as stream:
            encrypted = stream.read(len(AGE_HEADER)) == AGE_HEADER
        age = datetime.now(UTC) - datetime.fromtimestamp(newest.stat().st_mtime, UTC)
    except PermissionError:
        return unknown("only root and the user of the backups can look", str(BACKUP_DIRECTORY), command)
    except FileNotFoundError as error:
        return Evidence(State.FAILS, f"{error.filename} is gone", str(BACKUP_DIRECTORY), command)
    hours = age.total_seconds() / 3600
    value = f"{newest.name}, {hours:.1f} h old, {'an age file' if encrypted else 'no age file'}"
    state = State.HOLDS if encrypted and -CLOCK_SKEW_MAX <= age <= BACKUP_AGE_MAX else State.FAILS
    return Evidence(state, value, str(newest), command)
