"""Hypothesis strategies for everything that is written to the log or to a snapshot."""

from __future__ import annotations

from hypothesis import strategies as st

from weftmesh.core.board import commands as core
from weftmesh.core.board.model import (
    Change,
    Collision,
    Conflict,
    DueAt,
    DueDate,
    FieldChange,
    FieldValue,
    MergePolicy,
    Priority,
    Project,
    Status,
    Task,
    Verb,
)
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.board.state import BoardState, EventRef, RememberedRequest

INT64_MAX = 2**63 - 1
STAMP_MAX = 2**64 - 1

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
project_ids = st.from_regex(r"[A-Z][A-Z0-9_]{1,15}", fullmatch=True)
ulids = st.from_regex(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", fullmatch=True)
stamps = st.integers(0, STAMP_MAX)
versions = st.integers(0, INT64_MAX)
counts = st.integers(1, INT64_MAX)
request_ids = st.just(b"") | st.binary(min_size=16, max_size=16)
dates = st.dates().map(lambda day: DueDate(day.isoformat()))
instants = st.builds(DueAt, st.integers(-(2**63), INT64_MAX), st.sampled_from(["UTC", "Europe/Helsinki"]))
dues = dates | instants
sets = st.frozensets(names, max_size=4)
estimates = st.floats(allow_nan=False)
any_values: st.SearchStrategy[FieldValue] = (
    texts | st.integers(-(2**31), 2**31 - 1) | estimates | sets | dues | st.none()
)
paths = st.sampled_from(["title", "description", "status", "labels", "due", "estimate"]) | names.map("custom.{}".format)
field_values = st.dictionaries(paths, any_values, max_size=6)
statuses = st.sampled_from(Status)
priorities = st.sampled_from(Priority)
policies = st.sampled_from(MergePolicy)

headers = st.builds(
    core.Header, actor=texts, stamp=stamps, request_id=request_ids, request_digest=st.integers(0, 2**32 - 1)
)

command_kinds: dict[type[core.Command], st.SearchStrategy[core.Command]] = {
    core.CreateProject: st.builds(core.CreateProject, headers, project_ids, texts, names, policies),
    core.UpdateProject: st.builds(
        core.UpdateProject, headers, project_ids, st.none() | texts, st.none() | policies, versions
    ),
    core.DeleteProject: st.builds(core.DeleteProject, headers, project_ids, versions),
    core.UndeleteProject: st.builds(core.UndeleteProject, headers, project_ids | st.just("")),
    core.CreateTask: st.builds(core.CreateTask, headers, project_ids, ulids, field_values, texts, versions),
    core.UpdateTask: st.builds(core.UpdateTask, headers, ulids, field_values, field_values, versions, st.booleans()),
    core.ClaimTask: st.builds(core.ClaimTask, headers, ulids, texts),
    core.RevertTask: st.builds(core.RevertTask, headers, ulids, versions, versions),
    core.DeleteTask: st.builds(core.DeleteTask, headers, ulids, versions),
    core.UndeleteTask: st.builds(core.UndeleteTask, headers, ulids | st.just("")),
    core.ResolveConflict: st.builds(core.ResolveConflict, headers, ulids, versions, sets),
}
commands: st.SearchStrategy[core.Command] = st.one_of(*command_kinds.values())

verbs = st.sampled_from(Verb)
collisions = st.builds(Collision, paths, any_values, any_values, any_values, names)
conflicts = st.builds(Conflict, counts, names, stamps, st.lists(collisions, max_size=3).map(tuple))
field_changes = st.builds(FieldChange, paths, any_values, any_values, any_values, texts)
changes = st.builds(
    Change,
    version=counts,
    revision=counts,
    verb=verbs,
    actor=names,
    stamp=stamps,
    request_id=request_ids,
    fields=st.lists(field_changes, max_size=3).map(tuple),
    conflict=st.none() | conflicts,
)
histories = st.lists(changes, min_size=1, max_size=3).map(tuple)
tasks = st.builds(
    Task,
    id=ulids,
    project_id=project_ids,
    number=counts,
    version=counts,
    revision=counts,
    title=names,
    description=texts,
    status=statuses,
    assignee=texts,
    priority=priorities,
    labels=sets,
    estimate=st.none() | estimates,
    due=st.none() | dues,
    parent=st.just("") | ulids,
    depends_on=st.frozensets(ulids, max_size=2),
    custom=st.none() | st.dictionaries(names, texts, min_size=1, max_size=4),
    origin=texts,
    created_stamp=stamps,
    updated_stamp=stamps,
    deleted_stamp=stamps,
    updated_by=names,
    history=histories,
    conflicts=st.lists(conflicts, max_size=2).map(tuple),
    next_conflict_number=counts,
)
projects = st.builds(
    Project,
    id=project_ids,
    title=texts,
    home=names,
    merge_policy=policies,
    version=counts,
    revision=counts,
    created_revision=counts,
    created_stamp=stamps,
    updated_stamp=stamps,
    deleted_stamp=stamps,
    next_number=counts,
    history=histories,
)
outcomes = st.builds(
    Outcome,
    kind=st.sampled_from(OutcomeKind),
    revision=counts,
    subject=ulids,
    message=texts,
    collisions=st.lists(collisions, max_size=2).map(tuple),
    mergeable_paths=st.lists(paths, max_size=3).map(tuple),
    current_version=versions,
)
requests = st.builds(
    RememberedRequest, st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), outcomes, versions
)
event_refs = st.builds(EventRef, counts, project_ids, st.just("") | ulids, counts)
states = st.builds(
    BoardState,
    revision=versions,
    commands_applied=versions,
    state_hash=st.binary(min_size=16, max_size=16),
    watch_floor=versions,
    stamp=stamps,
    projects=st.lists(projects, max_size=2).map(tuple),
    tasks=st.lists(tasks, max_size=2).map(tuple),
    requests=st.lists(requests, max_size=2).map(tuple),
    events=st.lists(event_refs, max_size=3).map(tuple),
)
