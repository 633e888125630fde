"""Where the boxes of a drawing stand: a column for each wave, rows such that lines cross less."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from weftmesh.core.records import record
from weftmesh.core.workflow.drawing import label
from weftmesh.core.workflow.model import Workflow

SWEEPS: Final = 4
"""There and back, so many times: more changes little (Sugiyama, Tagawa and Toda, 1981, order layers like this)."""
CHARACTER_PX: Final = 7
BOX_HEIGHT_PX: Final = 24
ROW_PX: Final = 34
GAP_PX: Final = 60
MARGIN_PX: Final = 16


@record(frozen=True, slots=True)
class Box:
    """A step's place, in pixels from the upper left corner."""

    x_px: int
    y_px: int
    width_px: int

    @property
    def right_px(self) -> int:
        """Where its lines begin."""
        return self.x_px + self.width_px

    @property
    def middle_px(self) -> int:
        """The height at which they begin and end."""
        return self.y_px + BOX_HEIGHT_PX // 2


def boxes(graph: Workflow) -> dict[str, Box]:
    """The place of each step, by its id; boxes do not overlap, and what a step needs is left of it."""
    labels = {step.id: label(step) for step in graph.steps}
    placed: dict[str, Box] = {}
    x_px = MARGIN_PX
    for wave in _ordered(graph):
        width_px = max(len(labels[step_id]) for step_id in wave) * CHARACTER_PX + 2 * MARGIN_PX
        for row, step_id in enumerate(wave):
            placed[step_id] = Box(x_px, MARGIN_PX + row * ROW_PX, width_px)
        x_px += width_px + GAP_PX
    return placed


def _ordered(graph: Workflow) -> list[list[str]]:
    """Each wave in the order of the middle of its neighbours' places, to and fro."""
    neighbours: defaultdict[str, list[str]] = defaultdict(list)
    for step in graph.steps:
        for need in step.needs:
            neighbours[step.id].append(need)
            neighbours[need].append(step.id)
    waves = [list(wave) for wave in graph.waves]
    place = {step_id: row / len(wave) for wave in waves for row, step_id in enumerate(wave)}
    for sweep in range(SWEEPS):
        for wave in waves if sweep % 2 == 0 else reversed(waves):
            middle = {
                step_id: sum(place[one] for one in neighbours[step_id]) / max(1, len(neighbours[step_id]))
                for step_id in wave
            }
            wave.sort(key=lambda step_id: (middle[step_id], step_id))
            place.update({step_id: row / len(wave) for row, step_id in enumerate(wave)})
    return waves
