"""What each command about a whole task comes to; writes to its fields are in `update_plans`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weftmesh.core.board.commands import ClaimTask, CreateTask, DeleteTask, Header, RevertTask, UndeleteTask
from weftmesh.core.board.compact import packed
from weftmesh.core.board.history import value_at, with_values
from weftmesh.core.board.links import check_links
from weftmesh.core.board.model import (
    CUSTOM_PREFIX,
    Conflict,
    FieldChange,
    FieldValue,
    Limits,
    Project,
    Status,
    Task,
    Verb,
)
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import Plan, Refusal, TaskWrite, Unchanged, invalid, new_change, quoted
from weftmesh.core.board.project_plans import known_project
from weftmesh.core.board.store import Store
from weftmesh.core.board.validate import check_set_size, check_task_id, check_version, field_value, field_values, name


def plan_create_task(store: Store, command: CreateTask) -> Plan:
    """A new task, unless its id or origin is here already."""
    check_task_id(command.task_id)
    project = known_project(store, command.project_id)
    _check_project_live(project)
    if "title" not in command.fields:
        raise invalid(f"title: is missing; give 1 to {Limits.TITLE_CHARACTERS} characters")
    values = field_values(command.fields)
    origin = name("origin", command.origin)
    _check_new(store, command.task_id, project.id, origin)
    check_links(store.tasks, command.task_id, None, values)
    header, revision = command.header, store.revision + 1
    change = new_change(header, version=1, revision=revision, verb=Verb.CREATE)
    plain, custom = _split(values)
    task = Task(
        id=command.task_id,
        project_id=project.id,
        number=_number(store, project, command.number_hint),
        version=1,
        revision=revision,
        custom=packed(custom),
        origin=origin,
        created_stamp=header.stamp,
        updated_stamp=header.stamp,
        updated_by=change.actor,
        history=(change,),
        **plain,
    )
    check_sizes(task)
    return TaskWrite(None, task)


def _split(values: Mapping[str, FieldValue]) -> tuple[dict[str, Any], dict[str, str]]:
    """Plain fields by name, custom fields by key."""
    plain: dict[str, Any] = {}
    custom: dict[str, str] = {}
    for path, value in values.items():
        if not path.startswith(CUSTOM_PREFIX):
            plain[path] = value
        elif isinstance(value, str):
            custom[path[len(CUSTOM_PREFIX) :]] = value
    return plain, custom


def _check_new(store: Store, task_id: str, project_id: str, origin: str) -> None:
    existing = store.tasks.get(task_id) or store.by_origin(project_id, origin)
    if existing is not None:
        what = f"task id {task_id}" if existing.id == task_id else f"origin {quoted(origin)}"
        raise Refusal(
            OutcomeKind.ALREADY_EXISTS,
            f"{what} is {existing.key} already; update that task instead",
            subject=existing.id,
            current_version=existing.version,
        )


def _number(store: Store, project: Project, hint: int) -> int:
    if not 0 <= hint <= Limits.TASK_NUMBER:
        raise invalid(f"number: {quoted(hint)} is not 1 to {Limits.TASK_NUMBER}; send 0 for the next one")
    if hint and store.by_number(project.id, hint) is None:
        return hint
    if project.next_number > Limits.TASK_NUMBER:
        raise Refusal(
            OutcomeKind.PRECONDITION,
            f"project {project.id} has used its highest number, {Limits.TASK_NUMBER}; name a free number",
            subject=project.id,
        )
    return project.next_number


def plan_claim_task(store: Store, command: ClaimTask) -> Plan:
    """A task in progress in the hands of the assignee, if it is free."""
    task = writable_task(store, command.task_id)
    assignee = name("assignee", command.assignee)
    if not assignee:
        raise invalid("assignee: is empty; say who takes the task")
    if task.status in (Status.DONE, Status.CANCELLED):
        raise _precondition(task, f"{task.key} is {Status(task.status).name.lower()}; reopen it first")
    if task.assignee not in ("", assignee):
        raise _precondition(task, f"{task.key} is held by {quoted(task.assignee)}; ask them, or assign it by an update")
    return write_values(
        store, task, command.header, Verb.CLAIM, _differences(task, {"assignee": assignee, "status": Status.DOING})
    )


def plan_revert_task(store: Store, command: RevertTask) -> Plan:
    """A task whose fields are back at an earlier version."""
    task = writable_task(store, command.task_id)
    check_seen(task, command.version)
    if not 1 <= command.to_version <= task.version:
        raise Refusal(
            OutcomeKind.NOT_FOUND,
            f"{task.key} has no version {quoted(command.to_version)}; choose 1 to {task.version}",
            subject=task.id,
            current_version=task.version,
        )
    paths = {one.path for change in task.history[command.to_version :] for one in change.fields}
    values = {path: value_at(task, path, command.to_version) for path in sorted(paths)}
    return write_values(
        store,
        task,
        command.header,
        Verb.REVERT,
        _differences(task, {path: field_value(path, value) for path, value in values.items()}),
    )


def plan_delete_task(store: Store, command: DeleteTask) -> Plan:
    """A task that is hidden."""
    task = known_task(store, command.task_id)
    _check_project_live(store.projects[task.project_id])
    if task.deleted_stamp:
        return Unchanged(task.id, task.version)
    check_seen(task, command.version)
    return write_task(store, task, command.header, Verb.DELETE, deleted_stamp=command.header.stamp)


def plan_undelete_task(store: Store, command: UndeleteTask) -> Plan:
    """A task that is back."""
    task = known_task(store, command.task_id)
    _check_project_live(store.projects[task.project_id])
    if not task.deleted_stamp:
        return Unchanged(task.id, task.version)
    return write_task(store, task, command.header, Verb.UNDELETE, deleted_stamp=0)


def known_task(store: Store, task_id: str) -> Task:
    """The task, deleted or not."""
    task = store.tasks.get(task_id)
    if task is None:
        raise Refusal(OutcomeKind.NOT_FOUND, f"there is no task {quoted(task_id)}; list the tasks, or create it")
    return task


def writable_task(store: Store, task_id: str) -> Task:
    """The task, if neither it nor its project is deleted."""
    task = known_task(store, task_id)
    _check_project_live(store.projects[task.project_id])
    if task.deleted_stamp:
        raise _precondition(task, f"{task.key} is deleted; undelete it first")
    return task


def check_seen(task: Task, version: int) -> None:
    """Refuses a write whose writer saw another version."""
    check_version(version, task.version, task.key)
    if version not in (0, task.version):
        raise Refusal(
            OutcomeKind.COLLISION,
            f"{task.key} is at version {task.version} (by {task.updated_by}), you saw {version}; "
            "read it again and decide",
            subject=task.id,
            current_version=task.version,
        )


def check_sizes(task: Task) -> None:
    """Refuses a task that grew beyond its limits, by one write or by merging several."""
    if task.custom is not None and len(task.custom) > Limits.CUSTOM_FIELDS:
        count, limit = len(task.custom), Limits.CUSTOM_FIELDS
        raise invalid(f"custom: would hold {count} fields, the limit is {limit}; remove some")
    check_set_size("depends_on", task.depends_on)
    check_set_size("labels", task.labels)


def write_values(
    store: Store,
    task: Task,
    header: Header,
    verb: Verb,
    fields: tuple[FieldChange, ...],
    *,
    conflict: Conflict | None = None,
    **others: Any,
) -> TaskWrite | Unchanged:
    """`task` with `fields` changed under the rules of every field; unchanged when there is nothing to record."""
    if not fields and conflict is None:
        return Unchanged(task.id, task.version)
    values: dict[str, FieldValue] = {one.path: one.after for one in fields if one.before != one.after}
    check_links(store.tasks, task.id, task, values)
    write = write_task(store, task, header, verb, fields, values, conflict=conflict, **others)
    check_sizes(write.after)
    return write


def write_task(
    store: Store,
    task: Task,
    header: Header,
    verb: Verb,
    fields: tuple[FieldChange, ...] = (),
    values: Mapping[str, FieldValue] | None = None,
    *,
    conflict: Conflict | None = None,
    **others: Any,
) -> TaskWrite:
    """`task` one version later."""
    version, revision = task.version + 1, store.revision + 1
    change = new_change(header, version=version, revision=revision, verb=verb, fields=fields, conflict=conflict)
    after = with_values(
        task,
        values or {},
        version=version,
        revision=revision,
        updated_stamp=header.stamp,
        updated_by=change.actor,
        history=(*task.history, change),
        **others,
    )
    return TaskWrite(task, after)


def _differences(task: Task, values: Mapping[str, FieldValue]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(path, task.value(path), value) for path, value in values.items() if task.value(path) != value
    )


def _check_project_live(project: Project) -> None:
    if project.deleted_stamp:
        raise Refusal(
            OutcomeKind.PRECONDITION,
            f"project {project.id} is deleted; undelete it before its tasks are written",
            subject=project.id,
            current_version=project.version,
        )


def _precondition(task: Task, message: str) -> Refusal:
    return Refusal(OutcomeKind.PRECONDITION, message, subject=task.id, current_version=task.version)
