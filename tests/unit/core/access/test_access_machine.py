"""The machine of roles: what it refuses, what it keeps, and that a replica made of its rows is the same."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.access.commands import Command, GrantRole, RevokeRole
from weftmesh.core.access.deciding import granters, is_governed, permits, role_of
from weftmesh.core.access.machine import Access
from weftmesh.core.access.model import MESH
from weftmesh.core.access.outcomes import Reason
from weftmesh.core.access.roles import Permission, Role
from weftmesh.core.access.subjects import Subject, SubjectKind, account_subjects, parse_subject
from weftmesh.core.board.commands import Header
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire.access_commands import decode_access_command, encode_access_command
from weftmesh.runtime.wire.access_rows import access_from_rows, access_rows

SUBJECTS = ("user:ann", "user:ann@n1", "group:ops", "group:ops@n2", "node:n1", "user:eve")
PROJECTS = (MESH, "AA", "BB")


def header(number: int = 1, request_id: bytes = b"") -> Header:
    return Header("root@n1", number << 16, request_id, number)


def grant(machine: Access, subject: str, role: Role, project: str = MESH) -> Reason:
    return machine.apply(GrantRole(header(), subject, project, role))[0].reason


def revoke(machine: Access, subject: str, project: str = MESH) -> Reason:
    return machine.apply(RevokeRole(header(), subject, project))[0].reason


commands = st.builds(
    lambda give, subject, project, role, number: (
        GrantRole(header(number), subject, project, role) if give else RevokeRole(header(number), subject, project)
    ),
    st.booleans(),
    st.sampled_from(SUBJECTS),
    st.sampled_from(PROJECTS),
    st.sampled_from(Role),
    st.integers(1, 10_000),
)


@given(st.lists(commands, max_size=40))
def test_whatever_is_asked_for_the_invariants_hold_and_an_admin_of_the_mesh_remains(asked: list[Command]) -> None:
    machine = Access()
    had_admin = False
    for command in asked:
        machine.apply(command)
        machine.check()
        admins = [one for one, role in machine.roles_on(MESH).items() if role is Role.ADMIN]
        assert admins or not had_admin, "the last admin went"
        had_admin = had_admin or bool(admins)


@given(st.lists(commands, max_size=30))
def test_a_replica_from_the_log_and_one_from_rows_are_the_same(asked: list[Command]) -> None:
    machine, follower = Access(), Access()
    for command in asked:
        machine.apply(command)
        follower.apply(decode_access_command(encode_access_command(command)))
    assert follower.state_hash == machine.state_hash
    thawed = access_from_rows(access_rows(machine.freeze()))
    assert thawed.freeze() == machine.freeze()
    thawed.check()


@given(st.lists(commands, max_size=30), st.sampled_from(SUBJECTS), st.sampled_from(PROJECTS))
def test_a_role_is_the_highest_of_those_on_the_project_and_on_the_mesh(
    asked: list[Command], subject: str, project: str
) -> None:
    machine = Access()
    model: dict[tuple[str, str], Role] = {}
    for command in asked:
        if machine.apply(command)[0].ok:
            if isinstance(command, GrantRole):
                model[command.project, command.subject] = command.role
            else:
                model.pop((command.project, command.subject), None)
    held = [role for (place, who), role in model.items() if who == subject and place in (MESH, project)]
    assert role_of(machine, [subject], project) == max(held, default=None)
    assert is_governed(machine, project) == any(place in (MESH, project) for place, _ in model)


def test_the_first_role_on_the_mesh_is_an_admins_and_the_last_admin_stays() -> None:
    machine = Access()
    assert grant(machine, "user:ann", Role.EDITOR) is Reason.ADMIN_FIRST
    assert grant(machine, "group:ops", Role.ADMIN) is Reason.NONE
    assert grant(machine, "user:ann", Role.EDITOR) is Reason.NONE
    assert revoke(machine, "group:ops") is Reason.LAST_ADMIN
    assert grant(machine, "group:ops", Role.VIEWER) is Reason.LAST_ADMIN
    assert grant(machine, "user:ann", Role.ADMIN) is Reason.NONE
    assert revoke(machine, "group:ops") is Reason.NONE
    assert granters(machine, "AA") == ["user:ann"]


def test_a_node_is_no_admin_and_what_is_not_there_cannot_be_taken() -> None:
    machine = Access()
    assert grant(machine, "node:n1", Role.ADMIN) is Reason.INVALID_VALUE
    assert revoke(machine, "user:ann", "AA") is Reason.NO_SUCH_BINDING
    assert grant(machine, "user:ann", Role.VIEWER, "no project") is Reason.INVALID_VALUE
    assert machine.revision == 0


def test_a_retry_gets_the_first_answer_and_another_request_under_its_id_none() -> None:
    machine = Access()
    first = GrantRole(header(1, b"r" * 16), "user:ann", "AA", Role.EDITOR)
    outcome, events = machine.apply(first)
    assert (outcome.kind, len(events)) == (OutcomeKind.APPLIED, 1)
    assert machine.apply(first) == (outcome, ())
    other = RevokeRole(header(2, b"r" * 16), "user:ann", "AA")
    assert machine.apply(other)[0].kind is OutcomeKind.REQUEST_REUSED
    assert "granted user:ann editor on project AA" in machine.story("AA")


@pytest.mark.parametrize(
    ("role", "permitted"),
    [
        (None, set()),
        (Role.VIEWER, {Permission.VIEW}),
        (Role.EDITOR, {Permission.VIEW, Permission.EDIT}),
        (Role.ADMIN, {Permission.VIEW, Permission.EDIT, Permission.ADMINISTER}),
    ],
)
def test_each_role_permits_what_the_one_before_does_and_none_what_roles_do_not_give(
    role: Role | None, permitted: set[Permission]
) -> None:
    assert {one for one in Permission if permits(role, one)} == permitted


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("user:ann", Subject(SubjectKind.USER, "ann")),
        ("user:ann@n1", Subject(SubjectKind.USER, "ann", "n1")),
        ("user:ann@example.org", Subject(SubjectKind.USER, "ann@example.org")),
        ("user:ann@example.org@n1", Subject(SubjectKind.USER, "ann@example.org", "n1")),
        ("group:domain users@n1", Subject(SubjectKind.GROUP, "domain users", "n1")),
        ("node:n1", Subject(SubjectKind.NODE, "n1")),
    ],
)
def test_a_subject_is_what_its_line_says(text: str, subject: Subject) -> None:
    assert parse_subject(text) == subject
    assert str(subject) == text


@pytest.mark.parametrize(
    "text", ["", "ann", "user:", "node:n1@n2", "node:N1", "user:a/b", "user:\n", "role:x", f"user:{300 * 'x'}"]
)
def test_a_line_that_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_subject(text)


@pytest.mark.parametrize("name", ["ann", "ann@corp", "ann@example.org", "ann@", "a@b@c"])
def test_no_account_has_the_line_of_an_account_of_another_node(name: str) -> None:
    lines = account_subjects(SubjectKind.USER, name, "n1")
    assert {parse_subject(line).node for line in lines} <= {"", "n1"}
    assert all(parse_subject(line).name == name for line in lines)


def test_random_logs_of_two_replicas_agree() -> None:
    rng = Random(7)
    machine, other = Access(), Access()
    for number in range(1, 2_000):
        command: Command = (
            GrantRole(header(number), rng.choice(SUBJECTS), rng.choice(PROJECTS), rng.choice(list(Role)))
            if rng.random() < 0.6
            else RevokeRole(header(number), rng.choice(SUBJECTS), rng.choice(PROJECTS))
        )
        machine.apply(command)
        other.apply(command)
    assert machine.state_hash == other.state_hash
    assert len(machine.events()) <= 1_000
    machine.check()
