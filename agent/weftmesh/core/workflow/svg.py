"""A workflow as a picture that any browser shows, without a program that draws."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Final

from weftmesh.core.workflow.drawing import label
from weftmesh.core.workflow.layout import BOX_HEIGHT_PX, GAP_PX, MARGIN_PX, Box, boxes
from weftmesh.core.workflow.model import Step, StepKind, Workflow

_FILLS: Final[Mapping[StepKind, str]] = {
    StepKind.PROBE: "#dbe9f6",
    StepKind.AGGREGATE: "#e5e5f7",
    StepKind.EVALUATE: "#fdf0cf",
    StepKind.DECIDE: "#fbdcc8",
    StepKind.APPLY: "#f6d5e0",
    StepKind.CONFIRM: "#d9efd6",
}
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def svg(graph: Workflow) -> str:
    """A document of SVG 1.1: a column for each wave, lines from left to right."""
    places = boxes(graph)
    width_px = max((one.right_px for one in places.values()), default=0) + MARGIN_PX
    height_px = max((one.y_px + BOX_HEIGHT_PX for one in places.values()), default=0) + MARGIN_PX
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width_px}" height="{height_px}" '
            f'viewBox="0 0 {width_px} {height_px}" font-family="monospace" font-size="11">',
            f"<title>workflow {graph.sha256[:12]}</title>",
            *_lines(graph, places),
            *(_box(step, places[step.id]) for step in graph.steps),
            "</svg>",
            "",
        ]
    )


def _lines(graph: Workflow, places: Mapping[str, Box]) -> Iterator[str]:
    for step in graph.steps:
        to = places[step.id]
        for need in step.needs:
            at = places[need]
            bend_px = GAP_PX // 2
            yield (
                f'<path d="M {at.right_px} {at.middle_px} C {at.right_px + bend_px} {at.middle_px} '
                f'{to.x_px - bend_px} {to.middle_px} {to.x_px} {to.middle_px}" fill="none" stroke="#777777"/>'
            )


def _box(step: Step, place: Box) -> str:
    return (
        f'<g><rect x="{place.x_px}" y="{place.y_px}" width="{place.width_px}" height="{BOX_HEIGHT_PX}" rx="4" '
        f'fill="{_FILLS[step.kind]}" stroke="#555555"/>'
        f'<text x="{place.x_px + MARGIN_PX}" y="{place.middle_px + 4}">{_text(label(step))}</text></g>'
    )


def _text(text: str) -> str:
    return html.escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text))
