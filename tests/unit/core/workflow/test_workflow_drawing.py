"""Drawings of a workflow: what names say is shown and never read as part of the drawing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.ola.agreements import agreement, hard, p99, ppb

from weftmesh.core.ola.model import Probe, ProbeKind, Uptime
from weftmesh.core.workflow.building import workflow
from weftmesh.core.workflow.drawing import dot, label, mermaid
from weftmesh.core.workflow.layout import BOX_HEIGHT_PX, boxes
from weftmesh.core.workflow.model import Workflow
from weftmesh.core.workflow.svg import svg

SVG = "{http://www.w3.org/2000/svg}"
LEDGER = agreement("ledger", "99.9", service="books", probes=(Probe(ProbeKind.HTTP, 1000, 300, "/healthz"),))
TEXTS = st.text(max_size=12) | st.sampled_from(
    ['"]; evil', "<script>&amp;", "a\\", "\x00\x1b\ud7ff", "#quot;", "%%{init}%%"]
)


def mesh(count: int = 5) -> Workflow:
    objectives = (Uptime(ppb("99")), p99(60))
    return workflow(
        agreement(f"a{at}", "", *(hard(f"a{below}") for below in range(max(0, at - 2), at)), objectives=objectives)
        for at in range(count)
    )


def named(name: str, service: str) -> Workflow:
    return workflow([agreement(name, "99", service=service), agreement("b" + name, "99", hard(name))])


def test_mermaid_is_a_flowchart() -> None:
    assert (
        mermaid(workflow([LEDGER]))
        == """\
flowchart LR
  s0["ledger: aggregate uptime"]
  s1["ledger: confirm uptime"]
  s2["ledger: evaluate uptime"]
  s3["ledger: probe http /healthz"]
  s4["apply route books"]
  s5["decide route books"]
  s3 --> s0
  s2 --> s1
  s4 --> s1
  s0 --> s2
  s5 --> s4
  s2 --> s5
"""
    )


def test_dot_is_a_digraph_with_a_rank_for_each_wave() -> None:
    found = dot(workflow([LEDGER]))
    assert found.startswith("digraph workflow {\n  rankdir=LR;\n  node [shape=box];\n")
    assert '  s3 [label="ledger: probe http /healthz"];\n' in found
    assert "  { rank=same; s3; }\n  { rank=same; s0; }\n" in found
    assert found.endswith("  s2 -> s5;\n}\n")


def test_a_picture_has_a_box_for_each_step_and_a_line_for_each_need() -> None:
    graph = mesh()
    picture = ET.fromstring(svg(graph))
    assert [one.text for one in picture.iter(f"{SVG}text")] == [label(step) for step in graph.steps]
    assert len(list(picture.iter(f"{SVG}path"))) == sum(len(step.needs) for step in graph.steps)


def test_boxes_do_not_overlap_and_needs_are_to_the_left() -> None:
    graph = mesh()
    places = boxes(graph)
    ordered = sorted(places.values(), key=lambda one: (one.x_px, one.y_px))
    for upper, lower in pairwise(ordered):
        assert upper.right_px < lower.x_px or lower.y_px >= upper.y_px + BOX_HEIGHT_PX
    assert all(places[need].right_px < places[step.id].x_px for step in graph.steps for need in step.needs)


def test_an_empty_workflow_can_be_drawn() -> None:
    empty = workflow([])
    assert ET.fromstring(svg(empty)).tag == f"{SVG}svg"
    assert mermaid(empty) == "flowchart LR\n"
    assert dot(empty).endswith("}\n")


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_no_name_breaks_out_of_a_picture(name: str, service: str) -> None:
    picture = ET.fromstring(svg(named(name, service)))
    assert {one.tag for one in picture.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "title", "path", "g", "rect", "text")
    }


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_no_name_breaks_out_of_a_text(name: str, service: str) -> None:
    graph = named(name, service)
    for line in mermaid(graph).split("\n"):
        assert re.fullmatch(r'flowchart LR|  s\d+\["[A-Za-z0-9 .:/;#-]*"\]|  s\d+ --> s\d+|', line), line
    nodes = [line for line in dot(graph).split("\n") if "label" in line]
    assert len(nodes) == len(graph.steps)
    for line in nodes:
        assert re.fullmatch(r'  s\d+ \[label="(?:[^"\\]|\\["\\])*"\];', line), line
