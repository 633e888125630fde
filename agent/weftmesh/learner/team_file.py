"""What a node knows of its teams and tells nobody: their scales, and up to when their labels were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from weftmesh.core.forecast.ordinal import TeamScale
from weftmesh.learner.local_tasks import Place
from weftmesh.learner.state_file import damaged, read_document, write_document

_ADVICE: Final = (
    "remove it and it is made again; the next evaluations of this node may then judge a model by labels that it was "
    "trained on"
)


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """One team.

    Attributes:
        trained_until: the place of the newest task that was ever trained on; it only rises, so that what judges a model
            was never trained on.
        scale: fitted to the newest labels; None before the first evaluation.
        model_version: that `scale` was fitted with.
        labels: how many there were then.
    """

    trained_until: Place = (0.0, "")
    scale: TeamScale | None = None
    model_version: int = 0
    labels: int = 0


class TeamFile:
    """The records of one head's teams, by project id; one learner at a time may use it.

    Args:
        state_dir: the learner's directory, which is there.
        head: such as effort.

    Raises:
        DataCorruptionError: what is on disk is damaged.
    """

    def __init__(self, state_dir: Path, head: str) -> None:
        self._path = state_dir / f"teams-{head}"
        self._records = self._load()

    def record(self, project_id: str) -> TeamRecord:
        """What is known of a team; nothing of a new one."""
        return self._records.get(project_id, TeamRecord())

    def trained(self, cuts: Mapping[str, Place]) -> None:
        """Take note, durably, that labels up to these places are about to be trained on."""
        changed = {
            project_id: replace(self.record(project_id), trained_until=cut)
            for project_id, cut in cuts.items()
            if cut > self.record(project_id).trained_until
        }
        self._save(changed)

    def fitted(self, scales: Mapping[str, tuple[TeamScale, int]], model_version: int) -> None:
        """Keep scales that were fitted with one version, each with the number of the team's labels."""
        self._save(
            {
                project_id: replace(self.record(project_id), scale=scale, model_version=model_version, labels=labels)
                for project_id, (scale, labels) in scales.items()
            }
        )

    def _save(self, changed: Mapping[str, TeamRecord]) -> None:
        if changed:
            records = {**self._records, **changed}
            write_document(self._path, {project_id: asdict(record) for project_id, record in records.items()})
            self._records = records

    def _load(self) -> dict[str, TeamRecord]:
        rows = read_document(self._path, _ADVICE) or {}
        try:
            return {project_id: _record(row) for project_id, row in rows.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(self._path, f"a field is missing or of another kind ({error})", _ADVICE) from error


def _record(row: dict[str, Any]) -> TeamRecord:
    created_s, name = row["trained_until"]
    record = TeamRecord(**row | {"trained_until": (float(created_s), str(name))})
    if row["scale"] is None:
        return record
    parts: dict[str, Any] = row["scale"]
    for name, part in parts.items():
        parts[name] = tuple(part) if isinstance(part, list) else part
    return replace(record, scale=TeamScale(**parts))
