"""What an import can read: tables by a mapping, and JSON exports of trackers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from weftmesh.client.exchange.documents import MakeReader, read_documents
from weftmesh.client.exchange.mappings import zone_named
from weftmesh.client.exchange.tables import Table, read_table
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.github import GithubOptions, GithubReader
from weftmesh.core.exchange.github_names import NAME as GITHUB
from weftmesh.core.exchange.github_names import check_repository
from weftmesh.core.exchange.mapping import ColumnMapping
from weftmesh.core.exchange.taskwarrior import TaskwarriorReader
from weftmesh.core.exchange.taskwarrior_export import NAME as TASKWARRIOR
from weftmesh.core.exchange.taskwarrior_fields import TaskwarriorOptions
from weftmesh.core.ids import check_project_id


class ImportSource(Protocol):
    """A kind of file, with what a person said about it."""

    @property
    def name(self) -> str:
        """The tracker: the prefix of origins, and whose changes a task's digests remember."""

    def read(self, path: Path) -> Table:
        """All of one file. Blocks: call it in a thread.

        Raises:
            InvalidInputError: the file as a whole cannot be read.
        """


@dataclass(frozen=True, slots=True)
class TableSource:
    """CSV."""

    mapping: ColumnMapping
    encoding: str = "utf-8"

    @property
    def name(self) -> str:
        """The mapping's."""
        return self.mapping.name

    def read(self, path: Path) -> Table:
        """All of one file."""
        return read_table(path, self.mapping, encoding=self.encoding)


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """JSON."""

    name: str
    make_reader: MakeReader

    def read(self, path: Path) -> Table:
        """All of one file."""
        return read_documents(path, self.make_reader(str(path)))


def github_source(*, project: str = "", repository: str = "") -> DocumentSource:
    """Issues of GitHub.

    Raises:
        InvalidInputError: what was named cannot be a project or a repository.
    """
    options = GithubOptions(_project(project), check_repository(repository) if repository else "")
    return DocumentSource(GITHUB, lambda file: GithubReader(file, options))


def taskwarrior_source(*, project: str = "", time_zone: str = "") -> DocumentSource:
    """Tasks of Taskwarrior.

    Raises:
        InvalidInputError: what was named cannot be a project or a time zone.
    """
    zone = zone_named(time_zone, "--time-zone") if time_zone else None
    options = TaskwarriorOptions(_project(project), zone, time_zone or "UTC", _zone_or_utc)
    return DocumentSource(TASKWARRIOR, lambda file: TaskwarriorReader(file, options))


def _project(text: str) -> str:
    return check_project_id(text.upper()) if text else ""


def _zone_or_utc(name: str) -> ZoneInfo:
    """For a zone that an export names and this machine does not know: its instants are right all the same."""
    try:
        return zone_named(name, "")
    except InvalidInputError:
        return ZoneInfo("UTC")
