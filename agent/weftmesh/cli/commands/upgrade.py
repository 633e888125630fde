"""`weftmesh upgrade`: before nodes are upgraded one at a time, and while they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from weftmesh.cli.doctor.findings import Finding, Severity, exit_code_of
from weftmesh.cli.doctor.report import show
from weftmesh.cli.doctor.report import to_json as findings_json
from weftmesh.cli.encoding import enum_word, iso_time
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command
from weftmesh.cli.session import DEFAULT_CONFIG, Session
from weftmesh.cli.tables import Column
from weftmesh.cli.upgrade.builds import judge_answers, judge_level, judge_versions
from weftmesh.cli.upgrade.readiness import judge
from weftmesh.cli.upgrade.surroundings import BACKUPS, judge_configuration, newest_backup
from weftmesh.core.errors import WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2, upgrade_pb2
from weftmesh.runtime.units import NodeCommands

NODE = "node"


@click.group()
def upgrade() -> None:
    """Upgrade the nodes one at a time: see docs/upgrade.md."""


@command(upgrade, "check")
@click.option(
    "--with",
    "program",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The weftmesh command of the build to install: let it check this node's configuration.",
)
@click.option(
    "--backups",
    type=click.Path(path_type=Path, file_okay=False),
    default=BACKUPS,
    show_default=True,
    help="Where backups are kept.",
)
async def check(session: Session, program: Path | None, backups: Path) -> ExitCode:
    """Say whether a rolling upgrade can begin now, and in which order. Changes nothing.

    Exit status: 0 it can, 10 it can, and somebody should look first, 11 it cannot, 12 a check could not run.
    """
    begun_s = time.monotonic()
    session.follow_socket()
    found = await judge_configuration(program, session.config_file)
    try:
        state = await _state(session)
    except WeftmeshError as error:
        findings = [_not_asked(error), found]
    else:
        age_h, where = newest_backup(backups, _backed_up_s(state))
        findings = [*judge(state, age_h, where, _start(session)), found]
    return _report(session, findings, time.monotonic() - begun_s)


@command(upgrade, "status")
async def status(session: Session) -> ExitCode:
    """Show which node runs which version, which feature level the mesh has, and what the next one waits for.

    Exit status: 0 all run the same, 10 an upgrade is under way, 11 a node is silent or was set back, 12 nobody answers.
    """
    begun_s = time.monotonic()
    session.follow_socket()
    try:
        state = await _state(session)
    except WeftmeshError as error:
        return _report(session, [_not_asked(error)], time.monotonic() - begun_s)
    findings = [judge_answers(state, _start(session)), judge_versions(state), judge_level(state)]
    if session.output.as_json:
        session.output.json(_state_json(state) | findings_json(findings, time.monotonic() - begun_s))
        return exit_code_of(findings)
    _show_state(session, state)
    session.output.data("")
    return _report(session, findings, time.monotonic() - begun_s)


async def _state(session: Session) -> upgrade_pb2.UpgradeState:
    async with session.client() as client:
        return await client.upgrade.get_state(timeout_s=session.timeout_s)


def _start(session: Session) -> str:
    """What starts a node as this one is started; of another node's configuration nothing is known here."""
    return NodeCommands(DEFAULT_CONFIG, session.node_commands().has_unit).start


def _backed_up_s(state: upgrade_pb2.UpgradeState) -> float | None:
    return state.last_backup_time.seconds if state.HasField("last_backup_time") else None


def _not_asked(error: WeftmeshError) -> Finding:
    return Finding(NODE, Severity.UNKNOWN, "this node does not say what the members run", str(error))


def _report(session: Session, findings: Sequence[Finding], duration_s: float) -> ExitCode:
    if session.output.as_json:
        session.output.json(findings_json(findings, duration_s))
    else:
        show(session.output, findings, duration_s)
    return exit_code_of(findings)


def _show_state(session: Session, state: upgrade_pb2.UpgradeState) -> None:
    columns = [Column("NODE"), Column("ROLE"), Column("VERSION"), Column("SUPPORTS", right=True)]
    rows = [
        [
            member.name,
            _role(member),
            member.status.version or "?",
            str(member.supported_feature_level or "?"),
            str(member.status.applied_index or "?"),
        ]
        for member in state.members
    ]
    session.output.table([*columns, Column("APPLIED", right=True)], rows)
    for one in state.raised:
        session.output.note(f"feature level {one.level} since {iso_time(one.raise_time)}, raised by {one.raised_by}")


def _role(member: upgrade_pb2.MemberBuild) -> str:
    if member.status.role == mesh_pb2.ROLE_LEADER:
        return "leader"
    return enum_word(mesh_pb2.MemberRole.DESCRIPTOR, member.role)


def _state_json(state: upgrade_pb2.UpgradeState) -> dict[str, object]:
    return {
        "node": state.node,
        "feature_level": state.feature_level,
        "raised": [
            {"level": one.level, "raised_by": one.raised_by, "raise_time": iso_time(one.raise_time)}
            for one in state.raised
        ],
        "members": [
            {
                "name": member.name,
                "role": _role(member),
                "version": member.status.version or None,
                "supported_feature_level": member.supported_feature_level or None,
                "applied_index": member.status.applied_index or None,
                "error": member.error or None,
            }
            for member in state.members
        ],
    }
