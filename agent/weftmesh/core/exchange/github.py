"""Issues of GitHub, as `gh issue list --json` prints them or as the REST API returns them, to tasks.

Field names and words follow GitHub's public documentation of both; where the two differ, either is understood. What has
no field of its own becomes a custom field, comments go to the end of the description, and the rest is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from weftmesh.core.board.model import FieldValue
from weftmesh.core.exchange.entries import (
    Dropped,
    Entry,
    count_customs,
    time_in,
)
from weftmesh.core.exchange.extension import ATTRIBUTE, Extension, read_extension
from weftmesh.core.exchange.github_export import issue_fields
from weftmesh.core.exchange.github_fields import GithubFields
from weftmesh.core.exchange.github_names import (
    is_repository,
    number_of_url,
    origin_of,
    project_of,
    repository_of_url,
)
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.rows import CUSTOM_FIELDS, ImportedTask, Seen
from weftmesh.core.exchange.values import epoch_ms
from weftmesh.core.ids import is_project_id


@dataclass(frozen=True, slots=True)
class GithubOptions:
    """What the file may not say.

    Attributes:
        project: every issue goes there; empty for one named after its repository.
        repository: OWNER/NAME of entries that do not say it.
    """

    project: str = ""
    repository: str = ""


class GithubReader:
    """Reads the entries of one file; implements `documents.EntryReader`."""

    def __init__(self, file: str, options: GithubOptions) -> None:
        self._file = file
        self._options = options
        self._dropped = Dropped(file)

    def read(self, line: int, value: object) -> ImportedTask | tuple[Problem, ...] | None:
        """The task in one entry, or at least one problem; None for a pull request, which is counted."""
        if not isinstance(value, dict):
            message = "an entry has to be a JSON object"
            return (Problem(self._file, line, "", "", message, "export with gh issue list --json, or the REST API"),)
        if value.get("pull_request") is not None or value.get("isPullRequest") is True:
            self._dropped.add("pull requests", "pull requests are not issues and were left out", "nothing to do")
            return None
        entry = Entry(self._file, line, value)
        task = self._task(entry)
        return tuple(entry.problems) if entry.problems else task

    def finish(self, rows: list[ImportedTask]) -> list[ImportedTask]:
        """All rows, now that the last one is known."""
        return rows

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What was left out, counted."""
        return self._dropped.notes()

    def _task(self, entry: Entry) -> ImportedTask:
        number = entry.number("number")
        extension = self._extension(entry)
        repository = self._repository(entry, needed=extension is None)
        fields = self._fields(entry)
        created = time_in(fields.get("custom.created"))
        origin = origin_of(repository, number)
        references: dict[str, tuple[str, ...]] = {}
        if parent := self._parent(entry):
            references["parent"] = (parent,)
        seen = None
        if extension is not None:
            fields = extension.refine(fields, self._ghost(entry, extension))
            origin = extension.origin or origin
            references = {"parent": (extension.parent,) if extension.parent else ()}
            references["depends_on"] = tuple(extension.depends_on.values())
            seen = Seen(extension.etag, extension.created) if extension.etag else None
        if count_customs(fields) > CUSTOM_FIELDS:
            entry.problem("", None, f"more than {CUSTOM_FIELDS} custom fields", "export fewer fields")
        project = self._options.project or (extension.project if extension else _project_of(repository))
        if (repository or extension) and not is_project_id(project):
            entry.problem("repository", repository, "names no project", "name one with --project")
        return ImportedTask(
            project_id=project,
            project_title=repository or project,
            origin=origin,
            number_hint=number,
            fields=fields,
            references=references,
            aliases=(origin, origin_of(repository, number)) if repository else (origin,),
            line=entry.line,
            created_ms=max(0, epoch_ms(created)) if created else 0,
            seen=seen,
        )

    def _repository(self, entry: Entry, *, needed: bool) -> str:
        named = entry.get("repository")
        named = named.get("nameWithOwner", named.get("full_name")) if isinstance(named, dict) else named
        addresses = [entry.get(name) for name in ("url", "html_url")]
        api = entry.get("repository_url")
        if isinstance(api, str):
            addresses.append(f"/{'/'.join(api.rstrip('/').split('/')[-2:])}/issues/0")
        found = [repository_of_url(address) for address in addresses if isinstance(address, str)]
        candidates = [named if isinstance(named, str) else "", *found, self._options.repository]
        repository = next((name for name in candidates if is_repository(name)), "")
        if needed and not repository:
            fix = "export the field url too, or name the repository with --repo OWNER/NAME"
            entry.problem("url", None, "the entry does not say which repository it is of", fix)
        return repository

    def _parent(self, entry: Entry) -> str:
        parent = entry.get("parent")
        url = parent.get("url") if isinstance(parent, dict) else entry.get("parent_issue_url")
        if isinstance(url, str) and repository_of_url(url) and number_of_url(url):
            return origin_of(repository_of_url(url), number_of_url(url))
        return ""

    def _extension(self, entry: Entry) -> Extension | None:
        document = entry.get(ATTRIBUTE)
        if document is None:
            return None
        return entry.attempt(ATTRIBUTE, None, lambda: read_extension(document))

    def _ghost(self, entry: Entry, extension: Extension) -> dict[str, FieldValue]:
        """What the entry would say if nobody had changed it since the export."""
        said = issue_fields(extension.fields, extension.created, extension.origin)
        ghost = Entry(self._file, entry.line, {name: value for name, value in said.items() if entry.has(name)})
        return GithubFields(ghost, Dropped(self._file)).all()

    def _fields(self, entry: Entry) -> dict[str, FieldValue]:
        return GithubFields(entry, self._dropped).all()


def _project_of(repository: str) -> str:
    return project_of(repository.rpartition("/")[2])
