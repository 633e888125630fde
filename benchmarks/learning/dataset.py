"""The issues: 16 projects with story points, split by creation order into train, validation and test (60/20/20)."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weftmesh.core.forecast.features import RawFeatures, raw_features
from weftmesh.core.forecast.text import TaskText

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "storypoints_choet"
"""Not part of the repository: Choetkiertikul et al., "A deep learning model for estimating story points", TSE 2018."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled texts, oldest first.

    Attributes:
        texts: unweighted features.
        efforts: story points, beside them.
    """

    texts: list[RawFeatures]
    efforts: list[float]

    def __add__(self, other: Rows) -> Rows:
        return Rows(self.texts + other.texts, self.efforts + other.efforts)

    def newest(self, count: int) -> Rows:
        """The last `count` of them."""
        return Rows(self.texts[-count:], self.efforts[-count:])


@dataclass(frozen=True, slots=True)
class Project:
    """One team's issues."""

    name: str
    train: Rows
    validation: Rows
    test: Rows

    @property
    def history(self) -> Rows:
        """What is known before the first test row."""
        return self.train + self.validation

    def earlier(self) -> Project:
        """The same team some time ago: two thirds of the train rows known, the last third to validate on, no test."""
        texts, efforts, cut = self.train.texts, self.train.efforts, 2 * len(self.train.efforts) // 3
        return Project(self.name, Rows(texts[:cut], efforts[:cut]), Rows(texts[cut:], efforts[cut:]), Rows([], []))


def available() -> bool:
    """Whether the issues are on this machine."""
    return DATA.is_dir()


def raw_rows(path: Path) -> list[dict[str, str]]:
    """The lines of one project's file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def files() -> list[Path]:
    """One file a project, by name."""
    return sorted(DATA.glob("*.csv.gz"))


def load() -> list[Project]:
    """All projects, by name."""
    return [_project(path) for path in files()]


def _project(path: Path) -> Project:
    parts = {mark: Rows([], []) for mark in ("train", "val", "test")}
    for row in raw_rows(path):
        part = parts[row["split_mark"]]
        part.texts.append(raw_features(TaskText(row["title"], row["description"])))
        part.efforts.append(float(row["storypoint"]))
    return Project(path.name.removesuffix(".csv.gz"), parts["train"], parts["val"], parts["test"])
