"""Requests of the API become the commands that they ask for, or say which field is wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.board.v1 import board_pb2 as pb
from weftmesh.core.board import commands as core
from weftmesh.core.board.model import DueAt, DueDate, MergePolicy, Priority, Status
from weftmesh.core.errors import InvalidInputError, NotFoundError, WeftmeshError
from weftmesh.runtime.wire.requests import WriteContext, command_from_request, parse_request_id, request_digest

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
OTHER = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
NAME = f"projects/PROJ/tasks/{ID}"
OTHER_NAME = f"projects/PROJ/tasks/{OTHER}"
REQUEST_ID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
KNOWN = {NAME: ID, "tasks/PROJ-1": ID, "projects/PROJ/tasks/PROJ-1": ID, OTHER_NAME: OTHER}
HEADER = core.Header("ann@node1", 7)
LATEST_PROJECT = pb.Project(name="projects/PROJ", merge_policy=pb.MERGE_POLICY_LATEST, etag="v3")


def resolve(reference: str) -> str:
    if reference not in KNOWN:
        raise NotFoundError(f"there is no task {reference}")
    return KNOWN[reference]


CONTEXT = WriteContext("ann@node1", "ann", 7, lambda: ID, resolve, lambda task_id: ["old", "sprint"])


def update(task: pb.Task, *mask: str, **others: Any) -> core.UpdateTask:
    request = pb.UpdateTaskRequest(task=task, **others)
    request.update_mask.paths.extend(mask)
    command = command_from_request(request, CONTEXT)
    assert isinstance(command, core.UpdateTask)
    return command


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        (
            pb.CreateProjectRequest(project_id="PROJ", project=pb.Project(title="Firmware")),
            core.CreateProject(HEADER, "PROJ", "Firmware", "mesh", MergePolicy.ASK),
        ),
        (
            pb.UpdateProjectRequest(project=LATEST_PROJECT),
            core.UpdateProject(HEADER, "PROJ", None, MergePolicy.LATEST, 3),
        ),
        (pb.DeleteProjectRequest(name="projects/PROJ", etag="v2"), core.DeleteProject(HEADER, "PROJ", 2)),
        (pb.UndeleteProjectRequest(name="projects/PROJ"), core.UndeleteProject(HEADER, "PROJ")),
        (pb.ClaimTaskRequest(name="tasks/PROJ-1"), core.ClaimTask(HEADER, ID, "ann")),
        (pb.ClaimTaskRequest(name=NAME, assignee="bob"), core.ClaimTask(HEADER, ID, "bob")),
        (pb.RevertTaskRequest(name=NAME, version=2, etag="v5"), core.RevertTask(HEADER, ID, 2, 5)),
        (pb.DeleteTaskRequest(name=NAME), core.DeleteTask(HEADER, ID, 0)),
        (pb.UndeleteTaskRequest(name=NAME), core.UndeleteTask(HEADER, ID)),
        (
            pb.ResolveConflictRequest(name=f"{NAME}/conflicts/2", take_yours=["title"]),
            core.ResolveConflict(HEADER, ID, 2, frozenset({"title"})),
        ),
    ],
)
def test_a_request_becomes_its_command(request_: Message, command: core.Command) -> None:
    assert command_from_request(request_, CONTEXT) == command


def test_every_write_of_the_api_has_a_command() -> None:
    for field in pb.WriteRequest.DESCRIPTOR.oneofs_by_name["write"].fields:
        if field.name != "batch":
            request = getattr(pb.WriteRequest(), field.name)
            with pytest.raises(InvalidInputError, match=r"^(?!.*not a single write)"):
                command_from_request(request, CONTEXT)


def test_a_new_task_carries_every_field_that_is_set() -> None:
    task = pb.Task(title="t", status=pb.TASK_STATUS_DOING, priority=pb.TASK_PRIORITY_HIGH, labels=["b", "a", "b"])
    task.estimate = 0
    task.due.date = "2026-11-21"
    task.parent = OTHER_NAME
    task.custom["sprint"] = ""
    task.origin = "jira:X-1"
    command = command_from_request(pb.CreateTaskRequest(parent="projects/PROJ", task=task, number_hint=4), CONTEXT)
    assert command == core.CreateTask(
        HEADER,
        "PROJ",
        ID,
        {
            "title": "t",
            "status": Status.DOING,
            "priority": Priority.HIGH,
            "labels": frozenset({"a", "b"}),
            "estimate": 0.0,
            "due": DueDate("2026-11-21"),
            "parent": OTHER,
            "custom.sprint": "",
        },
        "jira:X-1",
        4,
    )


def test_a_mask_clears_what_is_not_set() -> None:
    command = update(pb.Task(name=NAME), "title", "labels", "estimate", "due", "priority", "parent", "custom.k")
    assert command.changes == {
        "title": "",
        "labels": frozenset(),
        "estimate": None,
        "due": None,
        "priority": Priority.NONE,
        "parent": "",
        "custom.k": None,
    }
    assert command.base == {}


def test_without_a_mask_what_is_set_is_written() -> None:
    command = update(pb.Task(name=NAME, title="t", assignee="bob", custom={"k": "v"}))
    assert command.changes == {"title": "t", "assignee": "bob", "custom.k": "v"}


def test_a_mask_of_custom_replaces_every_key() -> None:
    assert update(pb.Task(name=NAME, custom={"sprint": "43"}), "custom").changes == {
        "custom.sprint": "43",
        "custom.old": None,
    }
    with_base = update(pb.Task(name=NAME), "custom", base=pb.Task(custom={"seen": "1"}))
    assert with_base.changes == {"custom.seen": None}
    assert with_base.base == {"custom.seen": "1"}


def test_a_star_writes_everything() -> None:
    changes = update(pb.Task(name=NAME, title="t", status=pb.TASK_STATUS_TODO), "*").changes
    assert {"title", "description", "depends_on", "custom.old"} <= changes.keys()


def test_a_base_gives_what_the_writer_saw() -> None:
    base = pb.Task(title="old", etag="v4")
    command = update(
        pb.Task(name=NAME, title="new", status=pb.TASK_STATUS_DONE), "title", "status", base=base, queued=True
    )
    assert command.base == {"title": "old"}
    assert command.version == 4
    assert command.queued


def test_a_due_instant_keeps_its_zone_and_has_utc_when_it_has_none() -> None:
    task = pb.Task(name=NAME)
    task.due.at.time.FromMilliseconds(1_700_000_000_123)
    assert update(task, "due").changes["due"] == DueAt(1_700_000_000_123, "UTC")
    task.due.at.zone = "Europe/Helsinki"
    assert update(task, "due").changes["due"] == DueAt(1_700_000_000_123, "Europe/Helsinki")


def _with_due(fill: Callable[[pb.Due], object]) -> pb.Task:
    task = pb.Task(name=NAME)
    fill(task.due)
    return task


@pytest.mark.parametrize(
    ("task", "mask", "what"),
    [
        (pb.Task(name=NAME), "nonsense", "update_mask: 'nonsense'"),
        (pb.Task(name=NAME), "custom.", "update_mask"),
        (pb.Task(name=NAME), "origin", "update_mask"),
        (pb.Task(name=NAME), "status", "status: is in the update mask"),
        (pb.Task(name=NAME, status=9), "status", "status: 9"),  # type: ignore[arg-type]
        (pb.Task(name=NAME, priority=9), "priority", "priority: 9"),  # type: ignore[arg-type]
        (pb.Task(name=NAME, estimate=float("nan")), "estimate", "estimate: nan"),
        (pb.Task(name=NAME, estimate=float("inf")), "estimate", "estimate: inf"),
        (_with_due(lambda due: due.SetInParent()), "due", "due: has neither"),
        (pb.Task(name=NAME, due=pb.Due(date="20261121")), "due", "due.date"),
        (pb.Task(name=NAME, due=pb.Due(date="2026-02-30")), "due", "due.date"),
        (_with_due(lambda due: due.at.SetInParent()), "due", "due.at.time"),
        (_with_due(lambda due: due.at.time.__setattr__("seconds", 2**60)), "due", "due.at.time"),
        (pb.Task(name=NAME, etag="nonsense"), "title", "etag"),
        (pb.Task(name="PROJ-1"), "title", "not a task's name"),
    ],
)
def test_what_is_wrong_is_named(task: pb.Task, mask: str, what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        update(task, mask)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", "/etc/passwd", "x" * 5_000, "a\0b", "Europe"])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    task = pb.Task(name=NAME)
    task.due.at.time.seconds = 1
    task.due.at.zone = zone
    with pytest.raises(InvalidInputError, match=r"due\.at\.zone"):
        update(task, "due")


def test_an_empty_update_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="update_mask is empty"):
        update(pb.Task(name=NAME))


def test_a_task_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        command_from_request(pb.DeleteTaskRequest(name="tasks/PROJ-99"), CONTEXT)
    with pytest.raises(NotFoundError):
        update(pb.Task(name=NAME, depends_on=["tasks/PROJ-99"]), "depends_on")


@pytest.mark.parametrize("task_id", ["x", ID.lower()])
def test_a_task_id_is_a_ulid(task_id: str) -> None:
    with pytest.raises(InvalidInputError, match="not a ULID"):
        command_from_request(pb.CreateTaskRequest(parent="projects/PROJ", task_id=task_id), CONTEXT)


@pytest.mark.parametrize("spelling", ["{}", "{{{}}}", "urn:uuid:{}"])
def test_a_request_id_may_be_spelled_as_any_uuid(spelling: str) -> None:
    for text in (REQUEST_ID, REQUEST_ID.upper(), REQUEST_ID.replace("-", "")):
        assert parse_request_id(spelling.format(text)) == bytes(range(16))


@pytest.mark.parametrize("wrong", [REQUEST_ID[:-1], REQUEST_ID + "0", "g" + REQUEST_ID[1:], "-" * 36, "00 " * 12])
def test_what_is_nearly_a_uuid_is_no_request_id(wrong: str) -> None:
    with pytest.raises(InvalidInputError, match="UUID"):
        parse_request_id(wrong)


def test_a_request_id_is_a_uuid_or_nothing() -> None:
    assert parse_request_id("") == b""
    assert parse_request_id(REQUEST_ID) == bytes(range(16))
    with pytest.raises(InvalidInputError, match="not a UUID"):
        parse_request_id("retry-1")


def test_a_retry_has_the_same_digest_and_another_request_has_not() -> None:
    first = pb.UpdateTaskRequest(task=pb.Task(name=NAME, title="t", custom={"a": "1", "b": "2"}), request_id=REQUEST_ID)
    retry = pb.UpdateTaskRequest(task=pb.Task(name=NAME, title="t", custom={"b": "2", "a": "1"}), queued=True)
    digest = request_digest(first, "ann")
    assert digest == request_digest(retry, "ann") == 0x9927D04B
    assert digest != request_digest(first, "bob")
    retry.task.title = "other"
    assert digest != request_digest(retry, "ann")


def test_another_kind_of_request_of_the_same_bytes_has_another_digest() -> None:
    kinds = (pb.DeleteTaskRequest, pb.UndeleteTaskRequest, pb.ClaimTaskRequest)
    assert len({request_digest(kind(name=NAME), "ann") for kind in kinds}) == len(kinds)


def test_only_a_request_with_an_id_needs_a_digest() -> None:
    with_id = command_from_request(pb.DeleteTaskRequest(name=NAME, request_id=REQUEST_ID), CONTEXT)
    assert with_id.header.request_digest != 0
    assert command_from_request(pb.DeleteTaskRequest(name=NAME), CONTEXT).header.request_digest == 0


def test_a_batch_is_not_a_single_write() -> None:
    with pytest.raises(InvalidInputError, match="WriteBatch is not a single write"):
        command_from_request(pb.WriteBatch(), CONTEXT)


@given(st.sampled_from([pb.CreateTaskRequest, pb.UpdateTaskRequest, pb.UpdateProjectRequest]), st.binary(max_size=80))
def test_hostile_requests_are_refused_and_nothing_worse(kind: type[Message], data: bytes) -> None:
    with suppress(DecodeError, WeftmeshError):
        command_from_request(kind.FromString(data), CONTEXT)
