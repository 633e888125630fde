"""What went wrong, as people read it on stderr, or as one JSON object on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from weftmesh.cli.exit_codes import ExitCode, exit_code_of
from weftmesh.cli.output import Output
from weftmesh.core.errors import WeftmeshError

if TYPE_CHECKING:
    from weftmesh.board.v1 import board_pb2


def show_failure(output: Output, error: WeftmeshError) -> None:
    """Say what failed, and how to go on after a conflict."""
    if output.as_json:
        output.json(failure_json(exit_code_of(error), error.reason, str(error), _details(error)))
        return
    output.error(f"error: {error}")
    conflict = _conflict(error)
    if conflict is not None and conflict.fields:
        _show_conflict(output, conflict)


def show_usage_error(output: Output, error: click.ClickException) -> None:
    """Say what is wrong with the command line."""
    if output.as_json:
        output.json(failure_json(ExitCode.USAGE, "USAGE", error.format_message(), {}))
    else:
        error.show()


def failure_json(code: ExitCode, reason: str, message: str, details: dict[str, Any]) -> dict[str, Any]:
    """The one form of a failure: `code` is the exit status."""
    return {"error": {"code": int(code), "reason": reason, "message": message, "details": details}}


def _details(error: WeftmeshError) -> dict[str, Any]:
    details: dict[str, Any] = dict(error.metadata)
    conflict = _conflict(error)
    if conflict is not None:
        from weftmesh.cli.encoding import to_json

        details["conflict"] = to_json(conflict)
    return details


def _conflict(error: WeftmeshError) -> board_pb2.ConflictDetail | None:
    """What collided; `runtime.rpc.CollisionError` carries it, and exists only where gRPC is loaded."""
    details: board_pb2.ConflictDetail | None = getattr(error, "details", None)
    return details


def _show_conflict(output: Output, conflict: board_pb2.ConflictDetail) -> None:
    from weftmesh.cli.tables import Column

    columns = [Column("FIELD"), *(Column(title, flexible=True) for title in ("BASE", "YOURS", "THEIRS")), Column("BY")]
    rows = [[field.path, field.base, field.yours, field.theirs, field.theirs_actor] for field in conflict.fields]
    output.table(columns, rows, to_stderr=True)
    if conflict.mergeable_paths:
        output.note(f"These would have merged: {', '.join(conflict.mergeable_paths)}.")
    output.note(
        "Nothing was written. Look at the task (weftmesh task show), then run the command again to overwrite theirs, "
        "or leave the field as it is."
    )
