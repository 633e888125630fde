from __future__ import annotations

import pytest

from weftmesh.cli.doctor.available import can_run, has_program, with_what_can_run
from weftmesh.cli.doctor.findings import Finding, Fix, Severity

NOWHERE = "no-such-program-anywhere"


@pytest.mark.parametrize(
    ("command", "exists"),
    [
        ("weftmesh token create --for n2", True),
        ("weftmesh --config /etc/x.toml init --cluster mesh", True),
        ("weftmesh status", True),
        ("weftmesh members rm n2", True),
        ("weftmesh mend everything", False),
        ("weftmesh token create --twice", False),
        ("weftmesh token", False),
        ("ls -l /", True),
        ("echo '127.0.0.1 n1' >> /etc/hosts", True),
        (f"ls | {NOWHERE}", False),
        (f"ls && {NOWHERE}", False),
        (f"echo '&& {NOWHERE}' # {NOWHERE}", True),
        (f"{NOWHERE} --help", False),
    ],
)
def test_a_command_can_be_run_if_each_of_its_programs_exists(command: str, exists: bool) -> None:
    assert can_run(command) is exists


def test_what_cannot_be_run_here_is_not_proposed() -> None:
    found = Finding("dns", Severity.FAILURE, "no name", "none", (Fix(NOWHERE), Fix("ls"), Fix(f"{NOWHERE} x", "n2")))
    assert with_what_can_run(found).fixes == (Fix("ls"),)


def test_our_own_programs_are_found_beside_the_interpreter() -> None:
    assert has_program("weftmeshd")
    assert not has_program(NOWHERE)
