"""What each command about a project comes to."""

from __future__ import annotations

from weftmesh.core.board.commands import CreateProject, DeleteProject, Header, UndeleteProject, UpdateProject
from weftmesh.core.board.evolve import evolved
from weftmesh.core.board.model import FieldChange, Limits, MergePolicy, Project, Verb
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import Plan, ProjectWrite, Refusal, Unchanged, new_change, quoted
from weftmesh.core.board.store import Store
from weftmesh.core.board.validate import check_home, check_project_id, check_version, merge_policy, name


def plan_create_project(store: Store, command: CreateProject) -> Plan:
    """A new project, unless the id is taken."""
    check_project_id(command.project_id)
    check_home(command.home)
    existing = store.projects.get(command.project_id)
    if existing is not None:
        state = "is deleted; undelete it" if existing.deleted_stamp else "exists already; use it"
        raise Refusal(
            OutcomeKind.ALREADY_EXISTS,
            f"project {command.project_id} {state}, or choose another id",
            subject=existing.id,
            current_version=existing.version,
        )
    if len(store.projects) >= Limits.PROJECTS:
        raise Refusal(
            OutcomeKind.PRECONDITION, f"the board holds {Limits.PROJECTS} projects, its limit; use one of them"
        )
    header, revision = command.header, store.revision + 1
    project = Project(
        id=command.project_id,
        title=name("title", command.title),
        home=command.home,
        merge_policy=merge_policy(command.merge_policy),
        version=1,
        revision=revision,
        created_revision=revision,
        created_stamp=header.stamp,
        updated_stamp=header.stamp,
        history=(new_change(header, version=1, revision=revision, verb=Verb.CREATE),),
    )
    return ProjectWrite(None, project)


def plan_update_project(store: Store, command: UpdateProject) -> Plan:
    """Another title or merge policy."""
    project = known_project(store, command.project_id)
    _check_live(project)
    _check_seen(project, command.version)
    title = project.title if command.title is None else name("title", command.title)
    policy = project.merge_policy if command.merge_policy is None else merge_policy(command.merge_policy)
    fields = tuple(
        FieldChange(path, before, after)
        for path, before, after in (
            ("merge_policy", project.merge_policy, policy),
            ("title", project.title, title),
        )
        if before != after
    )
    if not fields:
        return Unchanged(project.id, project.version)
    return _write(store, project, command.header, Verb.UPDATE, fields, title=title, merge_policy=policy)


def plan_delete_project(store: Store, command: DeleteProject) -> Plan:
    """A project that is hidden, with its tasks."""
    project = known_project(store, command.project_id)
    if project.deleted_stamp:
        return Unchanged(project.id, project.version)
    _check_seen(project, command.version)
    return _write(store, project, command.header, Verb.DELETE, deleted_stamp=command.header.stamp)


def plan_undelete_project(store: Store, command: UndeleteProject) -> Plan:
    """A project that is back."""
    project = known_project(store, command.project_id)
    if not project.deleted_stamp:
        return Unchanged(project.id, project.version)
    return _write(store, project, command.header, Verb.UNDELETE, deleted_stamp=0)


def known_project(store: Store, project_id: str) -> Project:
    """The project, deleted or not."""
    project = store.projects.get(project_id)
    if project is None:
        raise Refusal(
            OutcomeKind.NOT_FOUND, f"there is no project {quoted(project_id)}; create it, or list the projects"
        )
    return project


def _check_live(project: Project) -> None:
    if project.deleted_stamp:
        raise Refusal(
            OutcomeKind.PRECONDITION,
            f"project {project.id} is deleted; undelete it first",
            subject=project.id,
            current_version=project.version,
        )


def _check_seen(project: Project, version: int) -> None:
    check_version(version, project.version, f"project {project.id}")
    if version not in (0, project.version):
        raise Refusal(
            OutcomeKind.COLLISION,
            f"project {project.id} is at version {project.version}, you saw {version}; read it again and decide",
            subject=project.id,
            current_version=project.version,
        )


def _write(
    store: Store,
    project: Project,
    header: Header,
    verb: Verb,
    fields: tuple[FieldChange, ...] = (),
    *,
    title: str | None = None,
    merge_policy: MergePolicy | None = None,
    deleted_stamp: int | None = None,
) -> ProjectWrite:
    version, revision = project.version + 1, store.revision + 1
    change = new_change(header, version=version, revision=revision, verb=verb, fields=fields)
    after = evolved(
        project,
        title=project.title if title is None else title,
        merge_policy=project.merge_policy if merge_policy is None else merge_policy,
        deleted_stamp=project.deleted_stamp if deleted_stamp is None else deleted_stamp,
        version=version,
        revision=revision,
        updated_stamp=header.stamp,
        history=(*project.history, change),
    )
    return ProjectWrite(project, after)
