"""Outcomes reach the writer as an answer or as the right error."""

from __future__ import annotations

import pytest

from weftmesh.core import errors
from weftmesh.core.board.model import Change, Collision, MergePolicy, Project, Task, Verb
from weftmesh.core.board.outcomes import SUCCESS, Outcome, OutcomeKind
from weftmesh.runtime.rpc import CollisionError
from weftmesh.runtime.wire.outcomes import applied_message, error_of

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
TASK = Task(ID, "PROJ", 1, 2, 5, "t", history=(Change(1, 4, Verb.CREATE, "ann@node1", 1, b""),))
PROJECT = Project("PROJ", "Firmware", "mesh", MergePolicy.ASK, 1, 3, 3, 1, 1)


class OneTaskBoard:
    """Knows one project with one task."""

    def find_task(self, ref: str, /) -> Task | None:
        return TASK if ref in (TASK.id, TASK.key) else None

    def project(self, project_id: str, /) -> Project | None:
        return PROJECT if project_id == PROJECT.id else None


def test_a_task_that_was_written_is_named() -> None:
    message = applied_message(Outcome(OutcomeKind.APPLIED, 5, ID, current_version=2), OneTaskBoard())
    assert (message.revision, message.name, message.key, message.etag) == (
        5,
        f"projects/PROJ/tasks/{ID}",
        "PROJ-1",
        "v2",
    )
    assert not message.unchanged


def test_a_project_that_was_there_already_is_unchanged() -> None:
    message = applied_message(Outcome(OutcomeKind.UNCHANGED, 5, "PROJ", current_version=1), OneTaskBoard())
    assert (message.name, message.key, message.unchanged) == ("projects/PROJ", "", True)


def test_a_conflict_that_was_stored_is_not_hidden_in_a_success() -> None:
    message = applied_message(Outcome(OutcomeKind.STORED_CONFLICT, 5, ID, current_version=2), OneTaskBoard())
    assert message.stored_conflict
    assert not applied_message(Outcome(OutcomeKind.APPLIED, 5, ID, current_version=2), OneTaskBoard()).stored_conflict


def test_a_collision_says_both_values_and_both_versions() -> None:
    outcome = Outcome(
        OutcomeKind.COLLISION,
        5,
        ID,
        "bob@node2 changed title",
        (Collision("title", "a", "b", "c", "bob@node2"),),
        ("labels",),
        2,
    )
    error = error_of(outcome, OneTaskBoard(), your_version=1)
    assert isinstance(error, CollisionError)
    assert str(error) == "bob@node2 changed title"
    assert (error.details.your_etag, error.details.current_etag) == ("v1", "v2")
    assert (error.details.fields[0].yours, error.details.fields[0].theirs) == ("b", "c")
    assert list(error.details.mergeable_paths) == ["labels"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (OutcomeKind.INVALID, errors.InvalidInputError),
        (OutcomeKind.NOT_FOUND, errors.NotFoundError),
        (OutcomeKind.ALREADY_EXISTS, errors.AlreadyExistsError),
        (OutcomeKind.COLLISION, errors.ConflictError),
        (OutcomeKind.PRECONDITION, errors.PreconditionError),
        (OutcomeKind.REQUEST_REUSED, errors.InvalidInputError),
    ],
)
def test_each_refusal_is_its_error(kind: OutcomeKind, error: type[errors.WeftmeshError]) -> None:
    raised = error_of(Outcome(kind, 5, message="why"), OneTaskBoard())
    assert isinstance(raised, error)
    assert str(raised) == "why"


def test_every_kind_of_outcome_is_covered() -> None:
    refused = [kind for kind in OutcomeKind if kind not in SUCCESS]
    assert all(type(error_of(Outcome(kind, 1), OneTaskBoard())) is not errors.WeftmeshError for kind in refused)


def test_a_refused_field_is_named_for_programs() -> None:
    error = error_of(Outcome(OutcomeKind.INVALID, 5, message="title: is empty; give one"), OneTaskBoard())
    assert error.metadata["field"] == "task.title"
    assert "field" not in error_of(Outcome(OutcomeKind.INVALID, 5, message="stamp: no"), OneTaskBoard()).metadata
