"""`weftmesh ola exclude`: time that does not count."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from weftmesh.cli.durations import parse_duration
from weftmesh.cli.encoding import to_json
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session


@command(None, "exclude")
@click.argument("name")
@click.option("--from", "starts", metavar="TIME", help="Local time in --timezone, such as 2026-11-22T02:00.")
@click.option("--for", "span", metavar="SPAN", callback=parse_duration, help="How long: 30m, 2h or 1d.")
@click.option("--timezone", default="UTC", show_default=True, help="Of the IANA database.")
@click.option("--rrule", default="", help="Again and again, by RFC 5545: FREQ=WEEKLY;BYDAY=SU. --from is the first.")
@click.option("--reason", default="", help="Why, in a line.")
@click.option("--remove", metavar="NUMBER", type=click.IntRange(min=1), help="Take an exclusion back instead.")
@dry_run_option
async def exclude(
    session: Session,
    name: str,
    starts: str | None,
    span: timedelta | None,
    timezone: str,
    rrule: str,
    reason: str,
    remove: int | None,
    dry_run: bool,
) -> None:
    """Leave a time out of the account of NAME, past or to come.

    What is older than four days is kept by the hour, and what is older than forty by the day: `weftmesh ola status`
    leaves out hours as a whole, and of a day the share.
    """
    from weftmesh.ola.v1 import agreement_pb2, command_pb2, ola_pb2

    if not reason:
        raise click.UsageError("--reason says why; give one")
    request = ola_pb2.ChangeAgreementsRequest(validate_only=dry_run)
    if remove is not None:
        request.remove_exclusion.CopyFrom(command_pb2.RemoveExclusion(name=name, number=remove, why=reason))
    elif starts is None or span is None:
        raise click.UsageError("--from and --for say when; give both, or --remove NUMBER")
    else:
        exclusion = agreement_pb2.Exclusion(
            reason=reason,
            starts_at=_local_time(starts),
            duration_s=int(span.total_seconds()),
            timezone=timezone,
            rrule=rrule,
        )
        request.add_exclusion.CopyFrom(command_pb2.AddExclusion(name=name, exclusion=exclusion))
    async with session.client() as client:
        answer = await client.ola.change_agreements(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(answer))
        return
    done = "taken back" if remove is not None else "added"
    session.output.note(f"exclusion {answer.number} of {name} {'would be' if dry_run else 'is'} {done}")


def _local_time(text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time; write 2026-11-22T02:00") from None
    if found.tzinfo is not None:
        raise click.BadParameter(f"{text!r} has a zone of its own; write local time, and the zone as --timezone")
    return found.isoformat(timespec="seconds")
