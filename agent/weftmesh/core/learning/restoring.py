"""What a new mesh takes over of another one's learning, when a backup is restored."""

from __future__ import annotations

from dataclasses import replace

from weftmesh.core.learning.job_plans import NOBODY
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import Job, Round, RoundStage, Row
from weftmesh.core.learning.state import LearningState

WHY = "the mesh was restored from a backup"


def in_new_mesh(state: LearningState) -> LearningState:
    """The state without a coordinator and without a round under way.

    Raft's terms begin anew in a new mesh: jobs that went on to heed an old term would refuse every coordinator. What
    was closed stays closed. Sums of after the backup are not in it: only the contributors' own memory knows of them.
    """
    return Learning.thaw(replace(state, rows=tuple(map(_taken_over, state.rows)))).freeze()


def _taken_over(row: Row) -> Row:
    if isinstance(row, Job):
        return replace(row, coordinator=NOBODY, round_id=b"")
    if isinstance(row, Round) and row.is_under_way:
        return replace(row, stage=RoundStage.ABANDONED, why=WHY)
    return row
