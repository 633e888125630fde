"""`weftmesh version`."""

from __future__ import annotations

from weftmesh.cli.options import command
from weftmesh.cli.session import Session


@command(None, "version")
def version(session: Session) -> None:
    """Say which version this is."""
    from importlib.metadata import version as installed_version

    number = installed_version("weftmesh")
    if session.output.as_json:
        session.output.json({"version": number})
    else:
        session.output.data(f"weftmesh {number}")
