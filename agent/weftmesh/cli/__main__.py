"""The entry point of `weftmesh`: runs a command, and turns what went wrong into words, JSON and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from weftmesh.cli.app import cli
from weftmesh.cli.exit_codes import ExitCode, exit_code_of
from weftmesh.cli.failures import show_failure, show_usage_error
from weftmesh.cli.session import Session
from weftmesh.cli.streams import first_that_is_no_text, give_up_stdout, prepare_streams
from weftmesh.core.errors import WeftmeshError


def run(arguments: Sequence[str]) -> ExitCode:
    """Run the command line `arguments`, without the program's name; the exit status."""
    session = Session()
    session.output.as_json = "--json" in arguments
    if (broken := first_that_is_no_text(arguments)) is not None:
        show_usage_error(session.output, click.UsageError(f"{broken!r} is not text in UTF-8; write or name it in that"))
        return ExitCode.USAGE
    try:
        result = cli.main(args=list(arguments), prog_name="weftmesh", obj=session, standalone_mode=False)
        sys.stdout.flush()
    except WeftmeshError as error:
        show_failure(session.output, error)
        return exit_code_of(error)
    except click.ClickException as error:
        show_usage_error(session.output, error)
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        session.output.note("interrupted")
        return ExitCode.ERROR
    except BrokenPipeError:
        # Whoever read our stdout has gone, as `head` does; there is nobody left to tell.
        give_up_stdout()
        return ExitCode.OK
    except OSError as error:
        if not error.filename:
            # A stream: JSON would go the way of what was to be printed.
            give_up_stdout()
            session.output.as_json = False
        where = f": {error.filename}" if error.filename else ""
        show_failure(session.output, WeftmeshError(f"{error.strerror or error}{where}", reason="OS_ERROR"))
        return ExitCode.ERROR
    return result if isinstance(result, ExitCode) else ExitCode.OK


def main() -> None:
    """Run the command line and exit."""
    prepare_streams()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
