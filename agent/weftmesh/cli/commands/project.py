"""`weftmesh project`."""

from __future__ import annotations

import click
from google.protobuf.field_mask_pb2 import FieldMask

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.encoding import to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command, dry_run_option, no_queue_option
from weftmesh.cli.output import Output
from weftmesh.cli.queueing import carry_out_project
from weftmesh.cli.references import project_of
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.cli.text import MERGE_POLICIES, parse_merge_policy, policy_word, time_text

POLICY_HELP = "Two writers change the same field: ask (conflict), latest (later one wins), reject."
PAGE_SIZE = 1_000


@click.group()
def project() -> None:
    """Projects: a team's list of tasks, and where it lives."""


def _id(found: board_pb2.Project) -> str:
    return found.name.rpartition("/")[2]


def _said(output: Output, written: board_pb2.Project | None, verb: str, dry_run: bool) -> ExitCode:
    if written is None:
        return ExitCode.QUEUED
    if output.as_json:
        output.json({"project": to_json(written), "dry_run": dry_run})
    else:
        output.data(_id(written))
        output.note(f"{'would be ' if dry_run else ''}{verb}: {written.title}")
    return ExitCode.OK


@command(project, "add")
@click.argument("project_id", metavar="PROJECT")
@click.option("--title", default="", help="For people.  [default: the project's id]")
@click.option("--home", default="mesh", show_default=True, help="mesh, or node:NAME for tasks that never leave a node.")
@click.option("--merge-policy", type=click.Choice(MERGE_POLICIES), default="ask", show_default=True, help=POLICY_HELP)
@dry_run_option
@no_queue_option
async def add(
    session: Session, project_id: str, title: str, home: str, merge_policy: str, dry_run: bool, no_queue: bool
) -> ExitCode:
    """Make PROJECT: 2 to 16 of A-Z, 0-9 and _, a letter first; it begins the keys of its tasks."""
    name = project_of(project_id).rpartition("/")[2]
    request = board_pb2.CreateProjectRequest(
        project_id=name,
        project=board_pb2.Project(title=title or name, home=home, merge_policy=parse_merge_policy(merge_policy)),
        validate_only=dry_run,
    )
    async with session.client() as client:
        made = await carry_out_project(session, client, client.board.create_project, request, no_queue=no_queue)
    return _said(session.output, made, "added", dry_run)


@command(project, "ls")
@click.option("--deleted", is_flag=True, help="Deleted projects too.")
async def ls(session: Session, deleted: bool) -> None:
    """List projects."""
    request = board_pb2.ListProjectsRequest(page_size=PAGE_SIZE, show_deleted=deleted)
    found: list[board_pb2.Project] = []
    async with session.client() as client:
        while True:
            page = await client.board.list_projects(request, timeout_s=session.timeout_s)
            found.extend(page.projects)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
    if session.output.as_json:
        session.output.json({"projects": [to_json(each) for each in found], "freshness": to_json(page.freshness)})
        return
    columns = [Column("PROJECT"), Column("TITLE", flexible=True), Column("HOME"), Column("POLICY")]
    rows = [[_id(each), each.title, each.home, policy_word(each.merge_policy), str(each.task_count)] for each in found]
    session.output.table([*columns, Column("TASKS", right=True)], rows)


@command(project, "show")
@click.argument("project_id", metavar="PROJECT")
async def show(session: Session, project_id: str) -> None:
    """Show PROJECT."""
    async with session.client() as client:
        request = board_pb2.GetProjectRequest(name=project_of(project_id))
        found = await client.board.get_project(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json({"project": to_json(found)})
        return
    session.output.pairs(
        [
            ("project", _id(found)),
            ("title", found.title),
            ("home", found.home),
            ("merge policy", policy_word(found.merge_policy)),
            ("tasks", str(found.task_count)),
            ("etag", found.etag),
            ("revision", str(found.revision)),
            ("created", time_text(found.create_time)),
            ("updated", time_text(found.update_time)),
            ("deleted", time_text(found.delete_time)),
        ]
    )


@command(project, "set")
@click.argument("project_id", metavar="PROJECT")
@click.option("--title", help="For people.")
@click.option("--merge-policy", type=click.Choice(MERGE_POLICIES), help=POLICY_HELP)
@dry_run_option
@no_queue_option
async def set_(
    session: Session, project_id: str, title: str | None, merge_policy: str | None, dry_run: bool, no_queue: bool
) -> ExitCode:
    """Change PROJECT's title or merge policy."""
    changed = board_pb2.Project(name=project_of(project_id))
    paths = []
    if title is not None:
        changed.title = title
        paths.append("title")
    if merge_policy is not None:
        changed.merge_policy = parse_merge_policy(merge_policy)
        paths.append("merge_policy")
    if not paths:
        raise click.UsageError("nothing to change; pass --title or --merge-policy")
    request = board_pb2.UpdateProjectRequest(project=changed, update_mask=FieldMask(paths=paths), validate_only=dry_run)
    async with session.client() as client:
        written = await carry_out_project(session, client, client.board.update_project, request, no_queue=no_queue)
    return _said(session.output, written, "set", dry_run)


@command(project, "rm")
@click.argument("project_id", metavar="PROJECT")
@dry_run_option
@no_queue_option
async def rm(session: Session, project_id: str, dry_run: bool, no_queue: bool) -> ExitCode:
    """Delete PROJECT and its tasks; `undelete` brings both back."""
    request = board_pb2.DeleteProjectRequest(name=project_of(project_id), validate_only=dry_run)
    async with session.client() as client:
        deleted = await carry_out_project(session, client, client.board.delete_project, request, no_queue=no_queue)
    return _said(session.output, deleted, "deleted", dry_run)


@command(project, "undelete")
@click.argument("project_id", metavar="PROJECT")
@dry_run_option
@no_queue_option
async def undelete(session: Session, project_id: str, dry_run: bool, no_queue: bool) -> ExitCode:
    """Bring the deleted PROJECT and its tasks back."""
    request = board_pb2.UndeleteProjectRequest(name=project_of(project_id), validate_only=dry_run)
    async with session.client() as client:
        back = await carry_out_project(session, client, client.board.undelete_project, request, no_queue=no_queue)
    return _said(session.output, back, "brought back", dry_run)
