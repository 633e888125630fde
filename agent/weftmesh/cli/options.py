"""What commands have in common: `--json` behind any of them, `--dry-run`, and an async body."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CoroutineType
from typing import Any, TypeVar

import click

from weftmesh.cli.session import Session

C = TypeVar("C", bound=Callable[..., Any])


def _turn_json_on(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).output.as_json = True


def json_option(function: C) -> C:
    """Accept `--json` after the command's name as well as before it."""
    option = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_turn_json_on,
        help="One JSON object on stdout, errors too.",
    )
    return option(function)


def dry_run_option(function: C) -> C:
    """Accept `--dry-run` as `dry_run`."""
    return click.option("--dry-run", is_flag=True, help="Check the request and show the answer; change nothing.")(
        function
    )


def no_queue_option(function: C) -> C:
    """Accept `--no-queue` as `no_queue`."""
    return click.option("--no-queue", is_flag=True, help="Without a quorum fail, instead of queueing on this node.")(
        function
    )


def command(group: click.Group | None, name: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command, in `group` if there is one, of a function that takes the Session first and may be async."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def body(*args: Any, **kwargs: Any) -> Any:
            session = click.get_current_context().ensure_object(Session)
            result = function(session, *args, **kwargs)
            return session.run(result) if isinstance(result, CoroutineType) else result

        make: Callable[[Callable[..., Any]], click.Command] = click.command(name, **attributes)
        made = make(json_option(body))
        if group is not None:
            group.add_command(made)
        return made

    return decorate
