"""`weftmesh ola plan`, `apply` and `retire`: what is agreed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weftmesh.cli.commands.ola_files import load_file
from weftmesh.cli.encoding import to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session
from weftmesh.core.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from weftmesh.core.ola.plan import Plan
    from weftmesh.core.ola.structure_problems import PlanProblem
    from weftmesh.ola.v1 import ola_pb2
    from weftmesh.runtime.ola_files.reading import Reading

files_argument = click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
prune_option = click.option("--prune", is_flag=True, help="Retire what is in no FILE.")


@dataclass(frozen=True)
class Prepared:
    """Files beside what is in force.

    Attributes:
        reading: of the files, without errors.
        view: what the node has.
        plan: what would change.
    """

    reading: Reading
    view: ola_pb2.AgreementsView
    plan: Plan


@command(None, "plan")
@files_argument
@prune_option
async def plan(session: Session, files: tuple[Path, ...], prune: bool) -> ExitCode:
    """Show what applying each FILE would change, and what is wrong with it.

    Problems are looked for in the agreements as they would be, with all that they depend on. The exit status is 1 when
    they could not be applied.
    """
    prepared = await _prepare(session, files, prune)
    if isinstance(prepared, ExitCode):
        return prepared
    _show(session, prepared)
    return ExitCode.OK if prepared.plan.applicable else ExitCode.ERROR


@command(None, "apply")
@files_argument
@prune_option
@click.option("--why", default="", help="For the history.")
@dry_run_option
async def apply(session: Session, files: tuple[Path, ...], prune: bool, why: str, dry_run: bool) -> ExitCode:
    """Bring what each FILE says into force: all of it at once or nothing.

    An agreement that says the same keeps its generation. If somebody else applied one meanwhile, nothing is changed and
    the exit status is 5.
    """
    prepared = await _prepare(session, files, prune)
    if isinstance(prepared, ExitCode):
        return prepared
    if not prepared.plan.applicable:
        _show(session, prepared)
        return ExitCode.ERROR
    change = _command(prepared, why)
    if not change.agreements and not change.retire:
        answer: Any = None
    else:
        answer = await _change(session, change, dry_run)
    if session.output.as_json:
        session.output.json({"applied": [to_json(answer)] if answer else [], "dry_run": dry_run, **_json(prepared)})
        return ExitCode.OK
    _show(session, prepared)
    if prepared.plan.changes:
        session.output.note("nothing was changed: a dry run" if dry_run else f"applied at revision {answer.revision}")
    return ExitCode.OK


@command(None, "retire")
@click.argument("name")
@click.option("--why", default="asked for on the command line", show_default=True, help="For the history.")
@dry_run_option
async def retire(session: Session, name: str, why: str, dry_run: bool) -> None:
    """Take NAME out of force. What was counted is kept for a while, and it may be applied again."""
    from weftmesh.ola.v1 import command_pb2, ola_pb2

    async with session.client() as client:
        view = await client.ola.get_agreements(ola_pb2.GetAgreementsRequest(name=name), timeout_s=session.timeout_s)
    if not any(not one.retired for one in view.standings):
        raise NotFoundError(f"no agreement {name!r} is in force; see `weftmesh ola ls`")
    retirement = command_pb2.Retirement(name=name, seen=view.standings[0].generation)
    answer = await _change(session, command_pb2.ApplyAgreements(retire=[retirement], why=why), dry_run)
    if session.output.as_json:
        session.output.json(to_json(answer))
    else:
        session.output.note(f"{name} {'would be' if dry_run else 'is'} retired")


async def _prepare(session: Session, files: tuple[Path, ...], prune: bool) -> Prepared | ExitCode:
    """Read and compare; the exit status when the files are wrong, of which everything was said."""
    from weftmesh.client.ola_status import held_agreements
    from weftmesh.core.ola.plan import plan as planned
    from weftmesh.runtime.ola_files.reading import read_agreements

    reading = read_agreements(load_file(path) for path in files)
    if reading.errors:
        findings = [finding.as_json() for finding in reading.findings]
        if session.output.as_json:
            session.output.json({"applicable": False, "changes": [], "affected": [], "problems": findings})
        else:
            for finding in reading.findings:
                session.output.data(str(finding))
        return ExitCode.ERROR
    if not reading.agreements:
        raise InvalidInputError(
            "there is no agreement in these files, and nothing to apply; name the files that hold some"
        )
    if not session.output.as_json:
        for finding in reading.findings:
            session.output.note(str(finding))
    async with session.client() as client:
        view = await client.ola.get_agreements(timeout_s=session.timeout_s)
    current = [one.agreement for one in held_agreements(view)]
    wanted = [one.agreement for one in reading.agreements]
    return Prepared(reading, view, planned(current, wanted, prune=prune))


def _command(prepared: Prepared, why: str) -> Any:
    from weftmesh.core.ola.plan import Removed
    from weftmesh.ola.v1 import command_pb2
    from weftmesh.runtime.wire.ola_agreements import agreement_message

    seen = {one.name: one.generation for one in prepared.view.standings}
    by_name = {one.agreement.name: one.agreement for one in prepared.reading.agreements}
    change = command_pb2.ApplyAgreements(why=why)
    for one in prepared.plan.changes:
        if isinstance(one, Removed):
            change.retire.add(name=one.name, seen=seen[one.name])
        else:
            change.agreements.add(agreement=agreement_message(by_name[one.name]), seen=seen.get(one.name, 0))
    if change.retire and not change.why:
        change.why = "in no file that was applied"
    return change


async def _change(session: Session, change: Any, dry_run: bool) -> ola_pb2.ChangeAgreementsResponse:
    from weftmesh.ola.v1 import ola_pb2

    request = ola_pb2.ChangeAgreementsRequest(apply_agreements=change, validate_only=dry_run)
    async with session.client() as client:
        return await client.ola.change_agreements(request, timeout_s=session.timeout_s)


def _show(session: Session, prepared: Prepared) -> None:
    from weftmesh.cli.ola_text import affected_line, change_lines

    if session.output.as_json:
        session.output.json(_json(prepared))
        return
    output, plan = session.output, prepared.plan
    for change in plan.changes:
        for line in change_lines(change):
            output.data(line)
    for affected in plan.affected:
        output.data(affected_line(affected))
    for problem in plan.problems:
        output.data(_problem_text(prepared.reading, problem))
    if not plan.changes:
        output.note("everything is in force as it is in the files")


def _json(prepared: Prepared) -> dict[str, Any]:
    from weftmesh.cli.ola_text import plan_json

    return plan_json(prepared.plan, [_problem_json(prepared.reading, one) for one in prepared.plan.problems])


def _problem_text(reading: Reading, found: PlanProblem) -> str:
    finding = _finding(reading, found)
    if finding is not None:
        return str(finding)
    where = ".".join(map(str, found.problem.path))
    return f"{found.agreement}, {where}: {found.problem.message}\n  {found.problem.fix}"


def _problem_json(reading: Reading, found: PlanProblem) -> dict[str, Any]:
    finding = _finding(reading, found)
    place: dict[str, Any] = {} if finding is None else finding.as_json()
    return {
        **place,
        "agreement": found.agreement,
        "message": found.problem.message,
        "fix": found.problem.fix,
        "blocks": found.blocks,
    }


def _finding(reading: Reading, found: PlanProblem) -> Any:
    """Its place in a file; None for an agreement that is in none of them."""
    from weftmesh.runtime.ola_files.findings import Severity

    one = next((one for one in reading.agreements if one.agreement.name == found.agreement), None)
    if one is None:
        return None
    severity = Severity.ERROR if found.blocks else Severity.WARNING
    return replace(one.finding(found.problem), severity=severity)
