"""Hypothesis strategies for everything that is written to the log or to a snapshot."""

from __future__ import annotations

from hypothesis import strategies as st

from weftmesh.core.board import commands as core
from weftmesh.core.board.model import DueAt, DueDate, FieldValue, MergePolicy, Priority, Status

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
