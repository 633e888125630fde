"""`weftmesh status`."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from weftmesh.cli.commands.members import show_members
from weftmesh.cli.commands.verify import audit_line
from weftmesh.cli.encoding import enum_word, to_json
from weftmesh.cli.options import command
from weftmesh.cli.session import Session
from weftmesh.cli.text import size_text, time_text
from weftmesh.cli.upgrade.builds import in_one_line
from weftmesh.client import Client
from weftmesh.core.errors import WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2

GOOD = "green"
BAD = "bold red"
VERSIONS_S = 2.0
"""A node that is down keeps nobody waiting for longer."""


@command(None, "status")
async def status(session: Session) -> None:
    """Show how this node is doing, and what it measured about itself."""
    async with session.client() as client:
        found = await client.mesh.get_status(timeout_s=session.timeout_s)
        if session.output.as_json:
            session.output.json(to_json(found))
            return
        versions = await _versions(client, found)
    session.output.pairs([*_facts(found), versions])
    session.output.data("")
    show_members(session.output, list(found.members))


async def _versions(client: Client, found: mesh_pb2.NodeStatus) -> tuple[str, str] | tuple[str, str, str]:
    """What the members run, as far as they say so in a moment."""
    try:
        text, same = in_one_line(await client.upgrade.get_state(timeout_s=VERSIONS_S))
    except WeftmeshError as error:
        return "versions", f"{found.version} here; the others were not asked ({error.reason})"
    return ("versions", text) if same else ("versions", text, BAD)


def _facts(found: mesh_pb2.NodeStatus) -> list[tuple[str, str] | tuple[str, str, str]]:
    quorum = ("quorum", "yes", GOOD) if found.quorum else ("quorum", "NO: writes wait", BAD)
    fsync = ("fsync", "on") if found.fsync else ("fsync", "OFF: acknowledged writes may be lost", BAD)
    return [
        ("node", f"{found.node} (weftmesh {found.version}, {found.listen_address})"),
        ("cluster", found.cluster),
        ("role", enum_word(mesh_pb2.Role.DESCRIPTOR, found.role)),
        ("leader", found.leader or "none known"),
        quorum,
        ("log", f"term {found.term}, committed {found.commit_index}, applied {found.applied_index}"),
        ("kept", f"{found.log_first_index} to {found.log_last_index}, snapshot at {found.snapshot_index}"),
        ("revision", str(found.revision)),
        ("board hash", found.state_hash),
        ("board", f"{found.tasks} tasks in {found.projects} projects"),
        _sync(found.sync_latency),
        fsync,
        _audit(found),
        ("memory", size_text(found.rss_bytes)),
        ("waiting", f"{found.pending_proposals} proposals, {found.watchers} watchers"),
        _queue(found),
        ("up since", time_text(found.start_time)),
        ("certificate", f"until {time_text(found.certificate_expire_time)}"),
    ]


def _queue(found: mesh_pb2.NodeStatus) -> tuple[str, str] | tuple[str, str, str]:
    counts = (
        (found.queued_writes, "wait for a quorum"),
        (found.failed_queued_writes, "FAILED: retry or discard them"),
        (found.damaged_queue_parts, "DAMAGED parts of the queue's file set aside, see the node's log"),
    )
    text = ", ".join(f"{count} {what}" for count, what in counts if count)
    if not text:
        return "queued", "no writes"
    return "queued", f"{text} (weftmesh pending ls)", BAD


def _audit(found: mesh_pb2.NodeStatus) -> tuple[str, str, str]:
    return "audit", audit_line(found.last_audit), GOOD if found.last_audit.passed else BAD


def _sync(latency: mesh_pb2.SyncLatency) -> tuple[str, str] | tuple[str, str, str]:
    if not latency.samples:
        return "sync", f"nothing measured yet (promise: p99 < {_ms(latency.promise)})"
    text = (
        f"p50 {_ms(latency.p50)}, p99 {_ms(latency.p99)} (promise: p99 < {_ms(latency.promise)}; "
        f"{latency.samples} samples)"
    )
    return ("sync", f"kept: {text}", GOOD) if latency.promise_kept else ("sync", f"MISSED: {text}", BAD)


def _ms(duration: Duration) -> str:
    return f"{duration.ToNanoseconds() / 1e6:.2f} ms"
