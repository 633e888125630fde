"""A Jira export as teams of tasks."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from weftmesh.core.forecast.cycle_time import TaskTimes
from weftmesh.core.forecast.finish_features import BoardTask, TeamHistory


@dataclass(frozen=True, slots=True)
class Record:
    """A task with its features, as of its creation."""

    task: BoardTask
    features: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Team:
    """One project of the export; its records are by creation."""

    name: str
    history: TeamHistory
    records: list[Record]


def read(path: Path) -> list[Team]:
    """The teams by name. Times of the export have no zone and are taken as UTC."""
    teams: dict[str, list[BoardTask]] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            teams.setdefault(row["Project key"], []).append(_task(row))
    return [_team(name, tasks) for name, tasks in sorted(teams.items())]


def newest(team: Team, cut_s: float, count: int) -> Team:
    """A team as a node sees it that reads no more than the newest `count` tasks at a cut; later ones are all there."""
    before = sum(record.task.times.created_s <= cut_s for record in team.records)
    if before <= count:
        return team
    return _team(team.name, [record.task for record in team.records[before - count :]])


def _team(name: str, tasks: list[BoardTask]) -> Team:
    history = TeamHistory(tasks)
    by_creation = sorted(tasks, key=lambda task: task.times.created_s)
    return Team(name, history, [Record(task, history.features(task)) for task in by_creation])


def _task(row: dict[str, str]) -> BoardTask:
    resolved = row["Resolved"]
    return BoardTask(
        TaskTimes(_seconds(row["Created"]), _seconds(resolved) if resolved else None),
        row["Issue Type"],
        len(row["Summary"]),
        len(row["Description"]),
    )


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
